"""The engines that tests run on, by `pytest --engine …`.

embedded   chDB in the process of the tests
server     the HTTP client, against a ClickHouse server: ALSOBOUGHT_TEST_CLICKHOUSE=http://…, a container where Docker answers, or
           the server in the package chdb (tests/support/clickhouse_server.py)
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
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
from tests.support.project import ROOT

NAMES = ("embedded", "server")
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
    elif SERVER_DSN:
        server_engine = Engine(SERVER_DSN)
        yield server_engine
        warehouse = open_warehouse(server_engine.settings("last"))
        for database in [*server_engine.databases, "last"]:
            warehouse.command(f"drop database {server_engine.session}_{database}")
        warehouse.close()
    elif not docker_answers():
        with clickhouse_server() as started:
            yield Engine(started.dsn)
    else:
        from testcontainers.clickhouse import ClickHouseContainer

        with ClickHouseContainer(IMAGE, port=8123) as server:
            host, port = server.get_container_host_ip(), server.get_exposed_port(8123)
            yield Engine(f"http://{server.username}:{server.password}@{host}:{port}")


@cache
def docker_answers() -> bool:
    return (
        bool(shutil.which("docker"))
        and not subprocess.run(("docker", "info"), capture_output=True, check=False).returncode
    )
