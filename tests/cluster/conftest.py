"""Two shards, and services on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from alsobought.service.service import Service, open_service
from tests.cluster.purchases import wrong_tables
from tests.support.clickhouse_server import ClickHouseServer
from tests.support.shards import cluster_settings, migrated_shards


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClickHouseServer]]:
    """The two servers, migrated. A test that stops one starts it again. In the end every count of each shard must be right."""
    with migrated_shards(tmp_path_factory.mktemp("cluster") / "shards") as started:
        yield started
        assert wrong_tables(cluster_settings(started)) == {"shard 1 of 2": [], "shard 2 of 2": []}


@pytest.fixture
def open_shop(servers: list[ClickHouseServer]) -> Iterator[Callable[..., Service]]:
    """`open_shop()` is a service on the cluster that stores; all tests share the tables, and tell their rows apart."""
    with ExitStack() as stack:

        def make(**overrides: object) -> Service:
            shop = open_service(cluster_settings(servers, **overrides))
            stack.callback(shop.close)
            return shop

        yield make
