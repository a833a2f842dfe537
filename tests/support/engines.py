"""Which engine the tests run on, by `pytest --engine …`; `python -m tests.support.engines` prints those that can be had here.

embedded   chDB in the process of the tests
http       the HTTP client, against ClickHouse's interface over chDB in a process of its own (tests/support/clickhouse_http.py)
server     the HTTP client, against ClickHouse itself: ALSOBOUGHT_TEST_CLICKHOUSE=http://…, or a container where Docker answers
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from alsobought.authoring.pipe_tests import empty
from alsobought.errors import AlsoboughtError
from alsobought.migrations import runner
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.storage.warehouse import open_warehouse
from alsobought.writer.submission import utc_now
from tests.support.process import free_port
from tests.support.project import ROOT

NAMES = ("embedded", "http", "server")
GIVEN = os.environ.get("ALSOBOUGHT_TEST_CLICKHOUSE", "")
TABLES = {"migrations"} | {path.stem for path in (ROOT / "sql" / "schema").glob("*.sql")}
IMAGE = "clickhouse/clickhouse-server:26.9"


@dataclass(frozen=True)
class Engine:
    """`databases` are migrated and empty: a test that needs one takes it and gives it back, since migrating takes a second."""

    dsn: str
    databases: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    session: str = field(default_factory=lambda: f"s{secrets.token_hex(3)}")  # a server may have those of others

    def settings(self, database: str, **given: Any) -> Settings:
        return Settings(**{"dsn": self.dsn, "database": f"{self.session}_{database}", "batch_seconds": 0.001, **given})

    def shop(self, database: str, clock: Callable[[], datetime] = utc_now, **given: Any) -> Service:
        """An open shop; on a server its database is migrated first, as an engineer would."""
        settings = self.settings(database, **given)
        if not settings.dsn.startswith("chdb:"):
            migrated(settings)
        return open_service(settings, clock)

    def borrowed(self, clock: Callable[[], datetime], **given: Any) -> Service:
        """A shop on one of the databases, for `give_back`."""
        if self.databases:
            return open_service(self.settings(self.databases.pop(), **given), clock)
        return self.shop(f"lent_{next(self.numbers)}", clock, **given)

    def give_back(self, shop: Service) -> None:
        """Ends a shop and keeps its database, unless the test changed the tables or broke the warehouse."""
        shop.stop()
        try:
            empty(shop)
            if shop.warehouse.tables() == TABLES:
                self.databases.append(shop.settings.database.removeprefix(f"{self.session}_"))
        except AlsoboughtError:
            pass
        shop.warehouse.close()


def migrated(settings: Settings) -> None:
    """Makes the database of these settings, or brings it up to date."""
    warehouse = open_warehouse(settings)
    list(runner.up(warehouse, settings.home_folder / "migrations"))
    warehouse.close()


def drop(shop: Service) -> None:
    """Ends a shop and takes its database away."""
    shop.stop()
    shop.warehouse.command(f"drop database {shop.settings.database}")
    shop.warehouse.close()


@contextmanager
def engine(name: str) -> Iterator[Engine]:
    """The engine of that name, running."""
    if name == "embedded":
        import chdb

        memory = Engine("chdb://:memory:")
        connect: Callable[[str], Any] = chdb.connect
        kept = connect(":memory:")  # the memory lives as long as one connection does
        try:
            yield memory
        finally:
            kept.close()
    elif name == "http":
        with front() as dsn:
            yield Engine(dsn)
    elif GIVEN:
        given = Engine(GIVEN)
        yield given
        warehouse = open_warehouse(given.settings("last"))
        for database in [*given.databases, "last"]:
            warehouse.command(f"drop database {given.session}_{database}")
        warehouse.close()
    else:
        from testcontainers.clickhouse import ClickHouseContainer

        with ClickHouseContainer(IMAGE, port=8123) as server:
            host, port = server.get_container_host_ip(), server.get_exposed_port(8123)
            yield Engine(f"http://{server.username}:{server.password}@{host}:{port}")


@contextmanager
def front() -> Iterator[str]:
    """The DSN of ClickHouse's interface over an empty warehouse, in a process of its own."""
    with front_process() as (_, dsn):
        yield dsn


@contextmanager
def front_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The same with its process, for tests that stop it. A killed one loses everything: it is in memory."""
    port = free_port()
    command = [sys.executable, "-m", "tests.support.clickhouse_http", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def why_not(name: str) -> str:
    """An empty string, or why this engine cannot be had here."""
    if name != "server" or GIVEN or docker_answers():
        return ""
    return "Docker does not answer and ALSOBOUGHT_TEST_CLICKHOUSE is not set"


@cache
def docker_answers() -> bool:
    return (
        bool(shutil.which("docker"))
        and not subprocess.run(("docker", "info"), capture_output=True, check=False).returncode
    )


if __name__ == "__main__":
    for one in NAMES:
        if reason := why_not(one):
            sys.stderr.write(f"The tests do not run on {one}: {reason}.\n")
        else:
            print(one)  # noqa: T201
