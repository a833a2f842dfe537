"""The engines that tests run on, by `pytest --engine …`; `python -m tests.support.engines` prints those of `make test-http`.

embedded   chDB in the process of the tests
http       the HTTP client, against ClickHouse's HTTP interface over chDB in its own process (tests/support/clickhouse_http.py)
server     the HTTP client, against ClickHouse itself: ALSOBOUGHT_TEST_CLICKHOUSE=http://…, a container where Docker answers, or
           the server in the package chdb (tests/support/clickhouse_server.py)
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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from alsobought.authoring.pipe_tests import clear_service
from alsobought.errors import AlsoboughtError
from alsobought.migrations import runner
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.engine_rights import engine_rights
from alsobought.writer.submission import utc_now
from tests.support.clickhouse_server import clickhouse_server
from tests.support.process import free_port
from tests.support.project import ROOT

NAMES = ("embedded", "http", "server")
SERVER_DSN = os.environ.get("ALSOBOUGHT_TEST_CLICKHOUSE", "")
FEED = "ENGINE = `Null`"
TABLES = {"migrations"} | {
    path.stem for path in (ROOT / "sql" / "schema").glob("*.sql") if FEED not in path.read_text()
}
"""All tables but feeds, from which nothing can be read."""
IMAGE = "clickhouse/clickhouse-server:26.9"


@dataclass(frozen=True)
class Engine:
    """`databases` are migrated and empty. Tests borrow them, since migrating takes a second."""

    dsn: str
    databases: list[str] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    session: str = field(default_factory=lambda: f"s{secrets.token_hex(3)}")  # a server may be shared by several runs

    def settings(self, database: str, **overrides: Any) -> Settings:
        """Dead letters are kept: by the clock of the engine, those of a test's clock would have expired."""
        defaults = {
            "dsn": self.dsn,
            "database": f"{self.session}_{database}",
            "batch_seconds": 0.001,
            "dead_letter_retention_days": 0,
        }
        return Settings(**{**defaults, **overrides})

    def shop(self, database: str, clock: Callable[[], datetime] = utc_now, **overrides: Any) -> Service:
        """An open service; on a server its database is migrated first, as an engineer would."""
        settings = self.settings(database, **overrides)
        if not settings.dsn.startswith("chdb:"):
            migrate(settings)
        return open_service(settings, clock)

    def borrow(self, clock: Callable[[], datetime], **overrides: Any) -> Service:
        """A service on one of the databases, for `give_back`."""
        if self.databases:
            return open_service(self.settings(self.databases.pop(), **overrides), clock)
        return self.shop(f"lent_{next(self.numbers)}", clock, **overrides)

    def give_back(self, shop: Service) -> None:
        """Stops a service and keeps its database, unless the test changed the tables or broke the warehouse."""
        shop.stop()
        try:
            clear_service(shop)
            if shop.warehouse.tables() == TABLES:
                self.databases.append(shop.settings.database.removeprefix(f"{self.session}_"))
        except AlsoboughtError:
            pass
        shop.warehouse.close()


def migrate(settings: Settings) -> None:
    """Creates the database of these settings, or brings it up to date."""
    warehouse = open_warehouse(settings)
    list(runner.up(warehouse, settings.home_folder / "migrations"))
    warehouse.close()


def drop(shop: Service) -> None:
    """Stops a service and drops its database."""
    shop.stop()
    shop.warehouse.command(f"drop database {shop.settings.database}")
    shop.warehouse.close()


@contextmanager
def engine(name: str) -> Iterator[Engine]:
    """The engine with this name, running."""
    if name == "embedded":
        import chdb

        memory = Engine("chdb://:memory:")
        connect: Callable[[str], Any] = chdb.connect
        rights = "&".join(f"{name}={value}" for name, value in engine_rights().items())
        keeper = connect(f":memory:?{rights}")  # the data lives as long as any connection
        try:
            yield memory
        finally:
            keeper.close()
    elif name == "http":
        with http_server() as dsn:
            yield Engine(dsn)
    elif SERVER_DSN:
        server_engine = Engine(SERVER_DSN)
        yield server_engine
        warehouse = open_warehouse(server_engine.settings("last"))
        for database in [*server_engine.databases, "last"]:
            warehouse.command(f"drop database {server_engine.session}_{database}")
        warehouse.close()
    elif not docker_answers():
        with TemporaryDirectory() as folder, clickhouse_server(Path(folder)) as started:
            yield Engine(started.dsn)
    else:
        from testcontainers.clickhouse import ClickHouseContainer

        with ClickHouseContainer(IMAGE, port=8123) as server:
            host, port = server.get_container_host_ip(), server.get_exposed_port(8123)
            yield Engine(f"http://{server.username}:{server.password}@{host}:{port}")


@contextmanager
def http_server() -> Iterator[str]:
    """The DSN of ClickHouse's HTTP interface over an empty warehouse, in its own process."""
    with http_server_process() as (_, dsn):
        yield dsn


@contextmanager
def http_server_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The same with its process, for tests that stop it. The data is in memory and lost with the process."""
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


def reason_to_leave_out(name: str) -> str:
    """The reason why `make test-http` leaves this engine out, or an empty string."""
    if name != "server" or SERVER_DSN or docker_answers():
        return ""
    return "Docker does not answer and ALSOBOUGHT_TEST_CLICKHOUSE is not set; `make test-server` starts one out of chdb"


@cache
def docker_answers() -> bool:
    return (
        bool(shutil.which("docker"))
        and not subprocess.run(("docker", "info"), capture_output=True, check=False).returncode
    )


if __name__ == "__main__":
    for engine_name in NAMES:
        if reason := reason_to_leave_out(engine_name):
            sys.stderr.write(f"The tests do not run on {engine_name}: {reason}.\n")
        else:
            print(engine_name)  # noqa: T201
