"""Two ClickHouse servers (`tests.support.clickhouse_server`) that know each other as the two shards of the cluster `shop`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.clickhouse_server import ClickHouseServer, clickhouse_server
from tests.support.process import free_port

CLUSTER = "shop"


@contextmanager
def two_shards(folder: Path) -> Iterator[list[ClickHouseServer]]:
    """Their data is in this folder. The setting `shards` of a service on them is `shards_setting` of them."""
    ports = [free_port(), free_port()]
    nodes = "".join(f"<shard><replica><host>127.0.0.1</host><port>{port}</port></replica></shard>" for port in ports)
    servers = f"<remote_servers><{CLUSTER}>{nodes}</{CLUSTER}></remote_servers>"
    with ExitStack() as started:
        yield [
            started.enter_context(
                clickhouse_server(folder / f"shard_{number}", more=f"<tcp_port>{port}</tcp_port>{servers}")
            )
            for number, port in enumerate(ports, 1)
        ]


def shards_setting(servers: Sequence[ClickHouseServer]) -> str:
    return ",".join(server.dsn for server in servers)
