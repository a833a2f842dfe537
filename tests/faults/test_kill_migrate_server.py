"""Migrations over HTTP, where a killed run leaves its lock behind."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support.clickhouse_server import clickhouse_server
from tests.support.process import Run, assert_error, running, write
from tests.support.project import ROOT

NUMBER = len(list((ROOT / "migrations").glob("*.sql")))


@pytest.fixture
def server() -> Iterator[str]:
    """The address of a server."""
    with clickhouse_server() as started:
        yield started.dsn


def query(address: str, sql: str) -> list[str]:
    with urlopen(Request(address, sql.encode(), {"Content-Type": "text/plain"})) as answer:
        lines: list[str] = answer.read().decode().splitlines()
        return lines


@pytest.fixture
def run(server: str, tmp_path: Path) -> Run:
    return running(tmp_path, ALSOBOUGHT_DSN=server)


def test_a_killed_run_leaves_its_lock_and_the_next_takes_it_over(run: Run, server: str) -> None:
    for point in ("migrate.started:3", "migrate.applied:4"):
        assert run("migrate", "up", ALSOBOUGHT_FAILPOINT=point).status == -signal.SIGKILL
        assert query(server, "exists table alsobought.migrating") == ["1"]
    assert run("migrate", "up").status == 0
    assert query(server, "exists table alsobought.migrating") == ["0"]
    states = [step["state"] for step in json.loads(run("migrate", "status", "--json").out)]
    assert states == ["applied"] * NUMBER


def test_concurrent_runs_complete_or_are_an_error_and_apply_nothing_twice(run: Run, server: str) -> None:
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda _: run("migrate", "up"), range(3)))
    assert 0 in [result.status for result in results]
    for result in results:
        if result.status:
            assert_error(result, "the database is being migrated by process", "--break-lock")
    assert query(server, "select count(), uniq(version) from alsobought.migrations where state = 'applied'") == [
        f"{NUMBER}\t{NUMBER}"
    ]


@pytest.mark.thorough
def test_a_lock_of_another_host_stays_until_it_is_broken(run: Run, server: str) -> None:
    holder = json.dumps({"host": "db7", "pid": 12, "since": "2026-01-01T00:00:00Z", "token": "a"})
    query(server, "create database alsobought")
    query(server, f"create table alsobought.migrating (x UInt8) engine = Memory comment '{holder}'")
    assert_error(run("migrate", "up"), "by process 12 on db7 since 2026-01-01T00:00:00Z")
    assert run("migrate", "up", "--break-lock").out.endswith(f"{NUMBER} applied\n")


@pytest.mark.thorough
def test_loading_into_a_server_with_pending_migrations_is_an_error(run: Run, tmp_path: Path) -> None:
    assert_error(
        run("load", "events", write(tmp_path / "e.ndjson")), "migrations are not applied", "alsobought migrate up"
    )
