"""The commands and the service on a ClickHouse server: only ALSOBOUGHT_DSN differs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clickhouse_server import clickhouse_server
from tests.support.process import Run, assert_error, running, serving, write
from tests.support.web import VIEW


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with clickhouse_server() as started:
        yield started.dsn


@pytest.fixture
def run(server: str, tmp_path: Path, request: pytest.FixtureRequest) -> Run:
    """Commands on a database of the test's own."""
    database = request.node.name.removeprefix("test_")[:60]
    return running(tmp_path / "unused", ALSOBOUGHT_DSN=server, ALSOBOUGHT_DATABASE=database)


@pytest.mark.thorough
def test_the_service_requires_a_migrated_server(run: Run) -> None:
    assert_error(run("serve"), "migrations are not applied", "alsobought migrate up")
    assert run("migrate", "up").status == 0
    assert "Nothing to do" in run("migrate", "up").out
    with serving(run) as service:
        assert service.ask("/events?wait=true", VIEW)[0] == 200
        status, body = service.ask("/pipes/recently_viewed?user_id=u")
    assert (status, [row["item_id"] for row in body["data"]]) == (200, ["tea"])


@pytest.mark.thorough
def test_loaded_events_are_counted_checked_and_answered(run: Run, tmp_path: Path) -> None:
    assert run("migrate", "up").status == 0
    lines = [{"event_type": "purchase", "user_id": "u", "order_id": "o", "item_id": item} for item in ("tea", "pot")]
    assert "2 events stored" in run("load", "events", write(tmp_path / "two.ndjson", *lines)).out
    ran = run("check")
    assert (ran.status, "wrong" in ran.out) == (0, False)
    assert '"other_item_id": "pot"' in run("pipe", "run", "also_bought", "item_id=tea").out
    assert not (tmp_path / "unused").exists()


@pytest.mark.thorough
def test_commands_work_while_the_service_runs(run: Run, tmp_path: Path) -> None:
    assert run("migrate", "up").status == 0
    with serving(run) as service:
        service.ask("/events?wait=true", VIEW)
        assert "tea" in run("pipe", "run", "recently_viewed", "user_id=u").out
        assert run("migrate", "status").status == 0


def test_an_unreachable_server_is_one_sentence_without_the_password(run: Run) -> None:
    ran = run("migrate", "status", ALSOBOUGHT_DSN="http://shop:secret@127.0.0.1:1")
    assert_error(ran, "127.0.0.1:1", "connection refused")
    assert "secret" not in ran.err
