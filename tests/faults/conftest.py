"""Topics and a server for the faults of the way from Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.rig import Rig, rig
from tests.support.brokers import Broker
from tests.support.engines import http_server
from tests.support.kafka import Topics


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The DSN of one for the tests of a module, each with a database of its own."""
    with http_server() as dsn:
        yield dsn


@pytest.fixture
def make_rig(kafka: Broker, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """`make_rig()` on a folder, `make_rig(dsn)` on a server; both with settings."""
    with ExitStack() as stack:

        def make(dsn: str = "", **settings: str) -> Rig:
            return stack.enter_context(rig(Topics(kafka), tmp_path, dsn, **settings))

        yield make
