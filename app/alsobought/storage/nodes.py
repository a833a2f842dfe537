"""The nodes of a cluster, for what each of them has whole: rows of serving tables, dictionaries, learned tables.

Rows by item are computed from the tables of all shards, once, and the same bytes go to every node. One lock holds from the read
to the last write, so that of the writers of two shards the later one has the newer counts. What a node that is down misses is
made when it is back: until then the writer records no position of a serving table.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, partial
from itertools import chain
from typing import NamedTuple

from alsobought.errors import AlsoboughtError, WarehouseFault
from alsobought.redaction import shown_address
from alsobought.settings import Settings
from alsobought.storage.catalogue import SOURCES
from alsobought.storage.clickhouse import ClickHouseWarehouse, open_warehouse
from alsobought.storage.distributed import local_dictionaries, tables_of_users
from alsobought.storage.replicated_tables import rows_of
from alsobought.storage.results import plain_type
from alsobought.storage.serving_tables import Picks, ServingTable, with_keys
from alsobought.storage.sharded_reads import ShardedReads
from alsobought.storage.topology import all_shards, node_settings, shards_of
from alsobought.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

RETRY_SECONDS, MAX_RETRY_SECONDS = 2.0, 64.0  # between two attempts at a node that is down: doubled after each
MAX_MISSED = 1_000  # steps of a table that a node misses; after more of them, all its rows are made
KEYS_PER_DELETE = 10_000


class Node:
    """One server. `stale` are the dictionaries that it has not reloaded."""

    def __init__(self, settings: Settings, dsn: str, *, replicated: bool) -> None:
        self._settings, self.dsn, self.replicated = settings, dsn, replicated
        self.stale: set[str] = set()
        self._pause, self._down_until = RETRY_SECONDS, 0.0

    @cached_property
    def warehouse(self) -> ClickHouseWarehouse:
        return open_warehouse(node_settings(self._settings, self.dsn), create=False)

    @property
    def may_answer(self) -> bool:
        """False for a while after an error."""
        return time.monotonic() >= self._down_until

    def run(self, action: Callable[[ClickHouseWarehouse], object]) -> None:
        """Raises WarehouseFault, NotStored; at once if the node did not answer a moment ago."""
        if not self.may_answer:
            raise WarehouseFault(f"{shown_address(self.dsn)} did not answer a moment ago")
        try:
            action(self.warehouse)
        except AlsoboughtError as error:
            self._down_until = time.monotonic() + self._pause
            self._pause = min(MAX_RETRY_SECONDS, 2 * self._pause)
            log.warning(
                "%s lacks what the other nodes have, until it answers again: %s", shown_address(self.dsn), error
            )
            raise
        self._pause = RETRY_SECONDS

    def reload(self, names: Iterable[str]) -> None:
        """Reloads these dictionaries, and those that it missed. Raises WarehouseFault."""
        self.stale.update(names)
        for name in [*names, *(self.stale - {*names})]:
            self.run(partial(_reload, name, self.replicated))
            self.stale.discard(name)


def _reload(name: str, replicated: bool, node: ClickHouseWarehouse) -> None:
    for table in SOURCES if replicated else ():
        node.command(f"system sync replica {node.database}.{table} lightweight")
    node.command(f"system reload dictionary {node.database}.{name}")


class Missed(NamedTuple):
    """Rows that a node lacks."""

    node: Node
    table: ServingTable
    picks: Picks
    clear: bool


class Nodes:
    """All nodes, and reads over all shards. Thread-safe: the writers of all shards share it."""

    def __init__(self, settings: Settings) -> None:
        """Connects to each node when it is first needed."""
        self._settings = settings
        self.database = settings.database
        self.shards = [
            [Node(settings, dsn, replicated=len(shard.replicas) > 1) for dsn in shard.replicas]
            for shard in shards_of(settings)
        ]
        self.members: list[ShardNodes] = []
        self.by_item = threading.RLock()  # held while rows by item are read and written

    @property
    def all(self) -> list[Node]:
        """Every replica of every shard."""
        return list(chain.from_iterable(self.shards))

    @cached_property
    def reads(self) -> ShardedReads:
        reads = ShardedReads(self._settings)
        reads.cluster = ShardNodes(self, 0, reads)
        return reads

    def join(self, warehouse: Warehouse, shard: int) -> None:
        """Makes a warehouse that of the writer of this shard, by its index: what each node has whole then goes to all of them."""
        warehouse.cluster = ShardNodes(self, shard, warehouse)
        self.members.append(warehouse.cluster)

    def close(self) -> None:
        for owner, name in [(self, "reads"), *((node, "warehouse") for node in self.all)]:
            if warehouse := vars(owner).pop(name, None):
                warehouse.close()


class ShardNodes:
    """The same for the writer of one shard, on its thread: `cluster` of its warehouse."""

    def __init__(self, nodes: Nodes, shard: int, warehouse: Warehouse) -> None:
        self.nodes, self.shard, self._warehouse = nodes, shard, warehouse
        self._missed: dict[Node, list[Missed]] = {}

    @property
    def warehouses(self) -> list[ClickHouseWarehouse]:
        """Of all nodes. Raises WarehouseFault if one is down."""
        return [node.warehouse for node in self.nodes.all]

    # Dictionaries

    def reload(self, names: Sequence[str], *, everywhere: bool = True) -> None:
        """Reloads dictionaries on every node, or on those of this shard. A node that is down does it with the next reload.

        Raises WarehouseFault if none did it.
        """
        nodes, errors = self.nodes.all if everywhere else self.nodes.shards[self.shard], []
        for node in nodes:
            try:
                node.reload(names)
            except AlsoboughtError as error:
                errors.append(error)
        if len(errors) == len(nodes):
            raise errors[0]

    # Serving tables

    @property
    def lagging(self) -> bool:
        """True while a node lacks rows."""
        return bool(self._missed)

    @property
    def due(self) -> int:
        """The number of steps to make what nodes lack that may answer again: rows, and dictionaries."""
        rows = sum(len(steps) for node, steps in self._missed.items() if node.may_answer)
        return rows + sum(bool(node.stale) and node.may_answer for node in self.nodes.all)

    @property
    def has_work(self) -> bool:
        """True if there is such a step, or will be once a node answers again."""
        return self.lagging or any(node.stale for node in self.nodes.all)

    def select(self, table: ServingTable, picks: Picks, changed: Picks | None = None) -> str:
        """A SELECT of rows as they should be: over this shard if that has all of the users' rows, else over all shards."""
        if self._is_local(table):
            return table.select(picks, changed)
        if table.key == "user_id":
            picks, changed = self._of_shard(picks), None
        database = self.nodes.database
        return local_dictionaries(table.select(picks, changed, all_shards(database)), database)

    def _of_shard(self, picks: Picks) -> Picks:
        shards = len(self.nodes.shards)
        return lambda column: f"{picks(column)} and CRC32({column}) % {shards} = {self.shard}"

    def make(self, table: ServingTable, picks: Picks, *, changed: Picks | None = None, clear: bool = False) -> None:
        """Replaces the picked rows on every node that has the table, as `ServingTable.make_here` does on one."""
        own = self.nodes.shards[self.shard]
        if self._is_local(table) and len(own) == 1:
            table.make_here(self._warehouse, picks, changed=changed, clear=clear)
            return
        with self._guard(table):
            whole = any(
                member.lagging for member in self.nodes.members
            )  # the row that would be mended may be an old one
            rows = self._read(table, picks, None if whole else changed)
            made = self._keys(table, picks) if clear else None
            for replicas in self.nodes.shards if table.key == "item_key" else [own]:
                self._store(replicas, Missed(replicas[0], table, picks, clear), rows, made)

    def _guard(self, table: ServingTable) -> AbstractContextManager[object]:
        return self.nodes.by_item if table.key == "item_key" else nullcontext()

    def catch_up(self) -> None:
        """Makes a part of what a node lacks, if one is due. Raises WarehouseFault, NotStored if it is down again."""
        for node in self.nodes.all:
            if node.stale and node.may_answer:
                node.reload([])
                return
        for node, steps in self._missed.items():
            if node.may_answer:
                step = steps[0]
                with self._guard(step.table):
                    rows = self._read(step.table, step.picks)
                    made = self._keys(step.table, step.picks) if step.clear else None
                    node.run(partial(_replace, step, rows, made))
                steps.remove(step)
                if not steps:
                    del self._missed[node]
                return

    def _store(self, replicas: Sequence[Node], step: Missed, rows: bytes, made: set[str] | None) -> None:
        for node in replicas:
            step = step._replace(node=node)
            try:
                node.run(partial(_replace, step, rows, made))
            except AlsoboughtError:
                self._miss(step)
            else:
                if node.replicated:
                    for other in replicas:
                        self._drop(step._replace(node=other))
                    return

    def _miss(self, step: Missed) -> None:
        steps = self._missed.setdefault(step.node, [])
        steps.append(step)
        if sum(one.table is step.table for one in steps) > MAX_MISSED:
            whole = step._replace(picks=lambda _: "1", clear=True)
            self._missed[step.node] = [one for one in steps if one.table is not step.table] + [whole]

    def _drop(self, step: Missed) -> None:
        if steps := self._missed.get(step.node):
            steps[:] = [one for one in steps if one != step]
            if not steps:
                del self._missed[step.node]

    def _read(self, table: ServingTable, picks: Picks, changed: Picks | None = None) -> bytes:
        columns = ", ".join(f"cast({name} as {kind}) as {name}" for name, kind in self._columns[table.name].items())
        return self._source(table).trusted_raw(
            f"select {columns} from ({self.select(table, picks, changed)})", None, "Native"
        )

    def _keys(self, table: ServingTable, picks: Picks) -> set[str]:
        sql = f"select toString({table.key}) from ({self.select(table, picks)})"
        return {key for (key,) in self._source(table).trusted_rows(sql).data}

    def _source(self, table: ServingTable) -> Warehouse:
        return self._warehouse if self._is_local(table) else self.nodes.reads

    def _is_local(self, table: ServingTable) -> bool:
        return table.key == "user_id" and table.reads <= self._of_users

    @cached_property
    def _of_users(self) -> frozenset[str]:
        """The tables of which this shard has all rows that its users need: those with a user_id, and those that are whole."""
        return tables_of_users(self._warehouse)

    @cached_property
    def _columns(self) -> dict[str, dict[str, str]]:
        schema = self._warehouse.schema()
        return {table: {name: plain_type(kind) for name, kind in types.items()} for table, types in schema.items()}


def _replace(step: Missed, rows: bytes, made: set[str] | None, node: ClickHouseWarehouse) -> None:
    """Stores rows on a node; given the keys of those that were made, it deletes others that were picked."""
    table = step.table
    name = f"{node.database}.{rows_of(table.name) if step.node.replicated else table.name}"
    if rows:
        node.insert_native(name, rows)
    if made is not None:
        sql = f"select toString({table.key}) from {name} where {step.picks(table.key)}"
        gone = [key for (key,) in node.trusted_rows(sql).data if key not in made]
        for start in range(0, len(gone), KEYS_PER_DELETE):
            keys = gone[start : start + KEYS_PER_DELETE]
            picks = with_keys(keys if table.key == "user_id" else map(int, keys))
            node.command(f"alter table {name} delete where {picks(table.key)}")
