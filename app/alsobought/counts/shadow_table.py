"""Shadow tables: count tables that are being rebuilt, in a database of their own.

They outlive a killed command. Every insert into one is one block, and block numbers only grow.
Before each insert its target and the newest block are checkpointed, so after a kill the newest
block shows whether the insert happened. Killing the command does not end the query that the engine
runs: the next command waits for that query, then takes the claim, without which nothing is
inserted.
"""

from __future__ import annotations

import hashlib
import time

import msgspec

from alsobought.errors import WarehouseFault
from alsobought.storage.count_tables import CountTable
from alsobought.storage.engine_settings import one_block
from alsobought.storage.mutation_journal import newest_blocks
from alsobought.storage.replicated_tables import create_like
from alsobought.storage.scratch_database import clone_table
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

PAUSE_SECONDS = 0.1
DEFAULT_RATE = 30_000  # events a second, before the first rebuild
RATE_KIND = "rebuild_rate"
BACKFILL_DATABASE = "rebuild_part"  # scratch database of the command
STEPS, CLAIMS = "_steps", "_claims"  # tables beside the shadow tables


class Position(msgspec.Struct, frozen=True):
    """In the order of users: all events up to this user's at `seq`.

    Once `backfilled`: all events up to `seq`, of any user.
    """

    user: str = ""
    seq: int = 0
    backfilled: bool = msgspec.field(default=False, name="filled")


class RebuildState(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint: `position` is what the table holds, `target` the insert in flight, if any.

    The insert happened if a block is newer than `block`. `since` is the first bucket that is
    rebuilt, empty for all; `horizon` the first seq that is read; `until` the last seq at the start,
    of `total` events. `last_rewrite` is the newest change of users at the start. `uuid` is the
    shadow table's. `carried_over`: the rows that are not recomputed are in it.

    The names in JSON are those of version 0.1: its checkpoints stay readable.
    """

    table: str
    definition: str
    since_option: str = msgspec.field(name="asked")
    since: str
    horizon: int
    last_rewrite: int = msgspec.field(name="rewritten")
    uuid: str
    until: int
    total: int
    carried_over: bool = msgspec.field(default=False, name="kept")
    position: Position = msgspec.field(default=Position(), name="at")
    events: int = 0
    target: Position | None = msgspec.field(default=None, name="to")
    target_events: int = msgspec.field(default=0, name="to_events")
    block: int = 0

    def completed(self) -> RebuildState:
        """The state after the insert in flight."""
        return msgspec.structs.replace(
            self, position=self.target or self.position, events=self.target_events, target=None
        )


def definition(table: CountTable) -> str:
    """A hash of a table and its view: another one means that the view was changed."""
    text = msgspec.json.encode([table.select, table.engine, table.keys, dict(table.types)])
    return hashlib.sha256(text).hexdigest()


class ShadowTables:
    """The database `<ours>_rebuild`. One command at a time has the claim."""

    def __init__(self, warehouse: Warehouse, claim: str) -> None:
        self.warehouse, self.claim = warehouse, claim
        self.name = f"{warehouse.database}_rebuild"
        self.is_ours = f"(select argMax(claim, number) from {self.name}.{CLAIMS}) = {quoted(claim)}"

    def take_claim(self) -> None:
        """Makes the claim ours and waits until inserts of an earlier command have ended.

        On the writer's thread.
        """
        command = self.warehouse.command
        command(f"create database if not exists {self.name}")
        detached = "select table from system.detached_tables where database = {database:String}"
        for (table,) in self.warehouse.trusted_rows(detached, {"database": self.name}).data:
            command(f"attach table {self.name}.{table}")  # a kill came in between
        columns = "number UInt64, table String, state String"
        command(
            f"create table if not exists {self.name}.{STEPS} ({columns}) engine = MergeTree order by (table, number)"
        )
        columns = "number UInt64, claim String"
        command(f"create table if not exists {self.name}.{CLAIMS} ({columns}) engine = MergeTree order by number")
        newest = f"(select max(number) + 1 from {self.name}.{CLAIMS})"
        command(f"insert into {self.name}.{CLAIMS} select {newest}, {quoted(self.claim)} {one_block()}")
        for table in self.tables() - {CLAIMS}:  # DETACH waits for running inserts
            command(f"detach table {self.name}.{table} sync")
            command(f"attach table {self.name}.{table}")

    def has_claim(self) -> bool:
        """True if no other command has taken the claim since."""
        if CLAIMS not in self.tables():
            return False
        return bool(self.warehouse.trusted_rows(f"select {self.is_ours}").data[0][0])

    def newest_state(self, table: str) -> RebuildState | None:
        """The state of a table's rebuild; None without one that this version can read."""
        sql = f"select state from {self.name}.{STEPS} where table = {{table:String}} order by number desc limit 1"
        rows = self.warehouse.trusted_rows(sql, {"table": table}).data
        if not rows:
            return None
        try:
            state = msgspec.json.decode(rows[0][0], type=RebuildState)
        except msgspec.ValidationError:
            return None
        return state.completed() if state.target and self.block(table) > state.block else state

    def create(self, table: CountTable, *, but: str = "", with_clone: bool = False) -> str:
        """Creates an empty shadow, or a copy of the table without the rows that match `but`.

        Returns its uuid. `with_clone` also keeps a clone of the table in service as it is now.
        """
        self.discard(table.name)
        shadow, clone = self.of(table.name), self.clone(table.name)
        if but:  # no row is copied; what is inserted later is not deleted
            clone_table(self.warehouse, table.name, shadow)
            self.warehouse.command(f"alter table {shadow} delete where {but} settings mutations_sync = 0")
        else:
            create_like(self.warehouse, shadow, table.name)
        if with_clone:
            clone_table(self.warehouse, table.name, clone)
        return self.uuid(self.name, table.name)

    def wait_for_deletes(self, table: str) -> None:
        """Raises WarehouseFault if they fail."""
        sql = (
            "select countIf(not is_done), max(latest_fail_reason) from system.mutations"
            " where database = {database:String} and table = {table:String}"
        )
        while True:
            pending, reason = self.warehouse.trusted_rows(sql, {"database": self.name, "table": table}).data[0]
            if reason:
                raise WarehouseFault(f"could not delete the rows of {table} that are to be recomputed: {reason}")
            if not pending:
                return
            time.sleep(PAUSE_SECONDS)

    def checkpoint(self, state: RebuildState) -> None:
        """Writes the state down. Writes nothing if another command has the claim."""
        number = f"(select max(number) + 1 from {self.name}.{STEPS})"
        text = quoted(msgspec.json.encode(state).decode())
        row = f"select {number}, {quoted(state.table)}, {text} where {self.is_ours}"
        self.warehouse.command(f"insert into {self.name}.{STEPS} {row} {one_block()}")

    def insert(self, table: CountTable, select: str, settings: str) -> None:
        """Inserts nothing if another command has the claim.

        It is read after the table is locked, so `take_claim` waits.
        """
        into = f"insert into {self.of(table.name)} ({table.columns})"
        self.warehouse.command(f"{into} select {table.columns} from ({select}) where {self.is_ours} {settings}")

    def discard(self, table: str) -> None:
        """Drops the shadow of one table and its checkpoints."""
        for name in (self.of(table), self.clone(table)):
            self.warehouse.command(f"drop table if exists {name} sync")
        of_table = f"table = {quoted(table)}"
        self.warehouse.command(f"alter table {self.name}.{STEPS} delete where {of_table} settings mutations_sync = 2")

    def close(self) -> None:
        """Drops the database, unless another table is being rebuilt."""
        if not self.tables() - {CLAIMS, STEPS}:
            self.warehouse.command(f"drop database if exists {self.name} sync")

    def of(self, table: str) -> str:
        return f"{self.name}.{table}"

    def clone(self, table: str) -> str:
        """The clone of the table in service from the start of the rebuild."""
        return f"{self.name}._before_{table}"

    def block(self, table: str) -> int:
        """The number of the newest block."""
        return newest_blocks(self.warehouse, [table], self.name)[table]

    def uuid(self, database: str, table: str) -> str:
        sql = "select toString(uuid) from system.tables where database = {database:String} and name = {table:String}"
        rows = self.warehouse.trusted_rows(sql, {"database": database, "table": table}).data
        return str(rows[0][0]) if rows else ""

    def tables(self) -> set[str]:
        sql = "select name from system.tables where database = {database:String}"
        return {row[0] for row in self.warehouse.trusted_rows(sql, {"database": self.name}).data}


def discard_all(warehouse: Warehouse) -> None:
    """Drops all shadow tables and copied events, after users in them were erased or merged."""
    shadows = ShadowTables(warehouse, "")
    for table in shadows.tables() - {CLAIMS, STEPS}:
        warehouse.command(f"drop table if exists {shadows.name}.{table} sync")
    if STEPS in shadows.tables():
        warehouse.command(f"truncate table {shadows.name}.{STEPS}")
    warehouse.command(f"drop database if exists {warehouse.database}_{BACKFILL_DATABASE} sync")
    databases = (shadows.name, f"{warehouse.database}_{BACKFILL_DATABASE}")  # left there before the writer moved on
    warehouse.command_on_peers(*(f"drop database if exists {name} sync" for name in databases))


def seconds_of(warehouse: Warehouse, table: str, events: int) -> int:
    """The estimated duration of a rebuild, by the latest one of this table, or else of any."""
    return max(1, round(events / (_rate(warehouse, table) or DEFAULT_RATE)))


def _rate(warehouse: Warehouse, table: str) -> int:
    """Events a second; 0 before the first rebuild."""
    sql = f"select marks from {warehouse.database}.rewrites where kind = {{kind:String}} order by id desc limit 100"
    rates = [row[0] for row in warehouse.trusted_rows(sql, {"kind": RATE_KIND}).data]
    of_table = [marks[table] for marks in rates if table in marks]
    return int(next(iter([*of_table, *(next(iter(marks.values())) for marks in rates)]), 0))
