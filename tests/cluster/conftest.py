"""Two shards, and services on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from alsobought.service.service import Service, open_service
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.shards import cluster_settings, migrated_shards


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClickHouseServer]]:
    """The two servers, migrated. A test that stops one starts it again."""
    with migrated_shards(tmp_path_factory.mktemp("cluster") / "shards") as started:
        yield started


@pytest.fixture
def open_shop(servers: list[ClickHouseServer]) -> Iterator[Callable[..., Service]]:
    """`open_shop()` is a service on the cluster that stores; tests of one module share the tables, and tell their rows apart."""
    with ExitStack() as stack:

        def make(**overrides: object) -> Service:
            shop = open_service(cluster_settings(servers, **overrides))
            stack.callback(shop.close)
            return shop

        yield make
