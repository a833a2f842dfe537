"""Two ClickHouse servers (`tests.support.clickhouse_server`) that know each other as the two shards of the cluster `shop`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.distributed import spread
from alsobought.storage.topology import each_node, shards_of
from tests.support.clickhouse_server import ClickHouseServer, clickhouse_server
from tests.support.engines import migrate
from tests.support.process import free_port

CLUSTER = DATABASE = "shop"


@contextmanager
def two_shards(folder: Path) -> Iterator[list[ClickHouseServer]]:
    """Their data is in this folder. The setting `shards` of a service on them is `shards_setting` of them."""
    ports = [free_port(), free_port()]
    nodes = "".join(f"<shard><replica><host>127.0.0.1</host><port>{port}</port></replica></shard>" for port in ports)
    servers = f"<remote_servers><{CLUSTER}>{nodes}</{CLUSTER}></remote_servers>"
    with ExitStack() as started:
        yield [
            started.enter_context(clickhouse_server(folder / f"shard_{number}", tcp_port=port, config=servers))
            for number, port in enumerate(ports, 1)
        ]


def shards_setting(servers: Sequence[ClickHouseServer]) -> str:
    return ",".join(server.dsn for server in servers)


def cluster_settings(servers: Sequence[ClickHouseServer], **overrides: Any) -> Settings:
    defaults = {"shards": shards_setting(servers), "cluster": CLUSTER, "database": DATABASE, "batch_seconds": 0.001}
    return Settings(**{**defaults, **overrides})


@contextmanager
def migrated_shards(folder: Path) -> Iterator[list[ClickHouseServer]]:
    """Two shards that are migrated. What that takes half a minute for is kept for all processes of a run of the tests."""
    template = Path(os.environ["XDG_CACHE_HOME"]) / "shards"
    if not template.exists():
        first = template.with_name(f"shards-{os.getpid()}")
        with two_shards(first) as servers:
            _migrate(cluster_settings(servers))
        with suppress(OSError):  # another process was quicker
            first.rename(template)
    shutil.copytree(template, folder, symlinks=True)
    with two_shards(folder) as servers:
        yield servers


def _migrate(settings: Settings) -> None:
    for _, node in each_node(settings):
        migrate(node)
    for _, node in each_node(settings):
        with closing(open_warehouse(node)) as warehouse:
            spread(warehouse, CLUSTER, len(shards_of(settings)))
