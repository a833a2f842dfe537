"""A server and a rig for faults on the way from Kafka to the warehouse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.rig import Rig, rig
from tests.support.brokers import Broker
from tests.support.clickhouse_server import clickhouse_server
from tests.support.kafka import Topics


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are marked `kill`."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("kill")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The DSN of a server shared by the tests of a module, each with a database of its own."""
    with clickhouse_server() as started:
        yield started.dsn


@pytest.fixture
def make_rig(kafka: Broker, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """`make_rig()` uses a folder, `make_rig(dsn)` a server; both take settings."""
    with ExitStack() as stack:

        def make(dsn: str = "", **settings: str) -> Rig:
            return stack.enter_context(rig(Topics(kafka), tmp_path, dsn, **settings))

        yield make
