"""The warehouse of a cluster: reads see all shards, writes go to one of them.

The tables of all shards together are in a database of their own (`topology.all_shards`) on every node. Rows that belong to no
user, such as recorded requests and Kafka's offsets, are written to the first shard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from alsobought.settings import Settings
from alsobought.storage.clickhouse import ClickHouseWarehouse, open_warehouse
from alsobought.storage.nodes import Nodes
from alsobought.storage.sharded_reads import ShardedReads
from alsobought.storage.topology import shard_settings, shards_of
from alsobought.storage.warehouse import Warehouse


class ClusterWarehouse(ShardedReads):
    """Reads over all shards, from one node. `shards` are the warehouses that have the rows, each on connections of its own."""

    def __init__(self, settings: Settings, shards: Sequence[ClickHouseWarehouse], nodes: Nodes | None = None) -> None:
        """It closes the shards, and the nodes if given."""
        self._settings, self.shards, self._nodes = settings, shards, nodes
        super().__init__(settings)
        self.cluster = shards[0].cluster

    def another(self) -> ClusterWarehouse:
        return ClusterWarehouse(self._settings, [shard.another() for shard in self.shards])

    def command(self, sql: str) -> None:
        """Runs on the first shard. A text that names the tables of all shards would change them through one node: a mistake."""
        if f"{self.database}." in sql:
            raise ValueError(f"a command may not change {self.database}: it belongs to a shard")
        self.shards[0].command(sql)

    def insert(self, table: str, lines: bytes, token: str = "", columns: Sequence[str] = ()) -> None:
        self.shards[0].insert(table, lines, token, columns)

    def insert_select(self, table: str, select: str, token: str) -> None:
        raise NotImplementedError("rows are copied on their shard")

    def run_insert(self, sql: str, settings: Mapping[str, int]) -> None:
        raise NotImplementedError("batches are stored on their shard")

    def close(self) -> None:
        super().close()
        for shard in self.shards:
            shard.close()
        if self._nodes:
            self._nodes.close()


def open_cluster(settings: Settings, *, create: bool = False) -> ClusterWarehouse:
    """The warehouse of a cluster and those of its shards. Raises WarehouseFault if a node cannot be reached."""
    with ExitStack() as opened:
        nodes, shards = Nodes(settings), list[ClickHouseWarehouse]()
        opened.callback(nodes.close)
        for index, shard in enumerate(shards_of(settings)):
            shards.append(open_warehouse(shard_settings(settings, shard), create=create))
            opened.callback(shards[-1].close)
            nodes.join(shards[-1], index)
        cluster = ClusterWarehouse(settings, shards, nodes)
        opened.pop_all()
    return cluster


def open_any(settings: Settings, *, create: bool = True, must_exist: bool = True) -> ClickHouseWarehouse:
    """The warehouse of these settings: a cluster, one of its shards, a server, or an embedded one (`open_warehouse`)."""
    if settings.whole_cluster:
        return open_cluster(settings, create=create)
    warehouse = open_warehouse(settings, create=create, must_exist=must_exist)
    if settings.shard:
        Nodes(settings).join(warehouse, settings.shard - 1)
    return warehouse


def parts_of(warehouse: Warehouse) -> Sequence[Warehouse]:
    """The warehouses that have the rows: the shards of a cluster, or this one."""
    return warehouse.shards if isinstance(warehouse, ClusterWarehouse) else [warehouse]
