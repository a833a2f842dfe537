"""A count table that is being made again: it stands in a database of its own, beside the one in service, and outlives a kill.

Every insert into it is one block, and blocks are numbered upwards. So it is noted before each insert how far it goes and the
newest block before it; whoever comes after a kill sees by the newest block whether it is in. A kill of the command alone does
not end what the engine was asked to do: the next command waits for that, and takes the claim, without which nothing goes in.
"""

from __future__ import annotations

import hashlib
import time

import msgspec

from alsobought.errors import WarehouseFault
from alsobought.storage.count_tables import CountTable
from alsobought.storage.engine_settings import one_block
from alsobought.storage.mutation_journal import newest_blocks
from alsobought.storage.scratch_database import clone_table
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

PAUSE_SECONDS = 0.1
USUAL_RATE = 30_000  # events a second, where no rebuild was ever made
RATE = "rebuild_rate"
PART = "rebuild_part"  # where the command has the events at hand


class Place(msgspec.Struct, frozen=True):
    """All events up to this user's at `seq`, in the order of the users; once `filled`, all up to `seq`, whoever's."""

    user: str = ""
    seq: int = 0
    filled: bool = False


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is. `at` is what is in; `to` what is going in, unless no block is newer than `block`.

    `since` is the first bucket made again, empty for all; `horizon` the first seq that is; `until` the last that was stored
    when it began, of `total`. `rewritten` is the newest change of users then. `uuid` is the table's own.
    """

    table: str
    definition: str
    asked: str
    since: str
    horizon: int
    rewritten: int
    uuid: str
    until: int
    total: int
    kept: bool = False
    at: Place = Place()
    events: int = 0
    to: Place | None = None
    to_events: int = 0
    block: int = 0

    def there(self) -> State:
        """Where it is once what was going in is in."""
        return msgspec.structs.replace(self, at=self.to or self.at, events=self.to_events, to=None)


def definition(table: CountTable) -> str:
    """Tells one text of a table and its view from another."""
    text = msgspec.json.encode([table.select, table.engine, table.keys, dict(table.types)])
    return hashlib.sha256(text).hexdigest()


class Shadows:
    """The database `<ours>_rebuild`. One command at a time has the claim."""

    def __init__(self, warehouse: Warehouse, claim: str) -> None:
        self.warehouse, self.claim = warehouse, claim
        self.name = f"{warehouse.database}_rebuild"
        self.is_ours = f"(select argMax(claim, number) from {self.name}._claims) = {quoted(claim)}"

    def take(self) -> None:
        """Makes the claim ours; what another command began is ended first. For the writer's thread."""
        command = self.warehouse.command
        command(f"create database if not exists {self.name}")
        detached = "select table from system.detached_tables where database = {database:String}"
        for (table,) in self.warehouse.trusted_rows(detached, {"database": self.name}).data:
            command(f"attach table {self.name}.{table}")  # a kill came in between
        columns = "number UInt64, table String, state String"
        command(
            f"create table if not exists {self.name}._steps ({columns}) engine = MergeTree order by (table, number)"
        )
        columns = "number UInt64, claim String"
        command(f"create table if not exists {self.name}._claims ({columns}) engine = MergeTree order by number")
        newest = f"(select max(number) + 1 from {self.name}._claims)"
        command(f"insert into {self.name}._claims select {newest}, {quoted(self.claim)} {one_block()}")
        for table in self.tables() - {"_claims"}:  # detaching waits for what is going in
            command(f"detach table {self.name}.{table} sync")
            command(f"attach table {self.name}.{table}")

    def has_claim(self) -> bool:
        """Whether no other command has begun since."""
        if "_claims" not in self.tables():
            return False
        return bool(self.warehouse.trusted_rows(f"select {self.is_ours}").data[0][0])

    def newest(self, table: str) -> State | None:
        """How far a table is, if one is being made."""
        sql = f"select state from {self.name}._steps where table = {{table:String}} order by number desc limit 1"
        found = self.warehouse.trusted_rows(sql, {"table": table}).data
        if not found:
            return None
        state = msgspec.json.decode(found[0][0], type=State)
        return state.there() if state.to and self.block(table) > state.block else state

    def make(self, table: CountTable, *, but: str = "", with_clone: bool = False) -> str:
        """An empty one, or the rows of the table in service as they are now `but` some; perhaps a clone. Returns its uuid."""
        self.forget(table.name)
        ours, shadow, clone = f"{self.warehouse.database}.{table.name}", self.of(table.name), self.clone(table.name)
        if but:  # no row is copied; what is inserted later is not deleted
            clone_table(self.warehouse, ours, shadow)
            self.warehouse.command(f"alter table {shadow} delete where {but} settings mutations_sync = 0")
        else:
            self.warehouse.command(f"create table {shadow} as {ours}")
        if with_clone:
            clone_table(self.warehouse, ours, clone)
        return self.uuid(self.name, table.name)

    def wait_for_deletes(self, table: str) -> None:
        """Raises WarehouseFault if they fail."""
        sql = (
            "select countIf(not is_done), max(latest_fail_reason) from system.mutations"
            " where database = {database:String} and table = {table:String}"
        )
        while True:
            left, reason = self.warehouse.trusted_rows(sql, {"database": self.name, "table": table}).data[0]
            if reason:
                raise WarehouseFault(f"what {table} keeps cannot be told from the rest: {reason}")
            if not left:
                return
            time.sleep(PAUSE_SECONDS)

    def note(self, state: State) -> None:
        """Nothing if the claim is another's."""
        number = f"(select max(number) + 1 from {self.name}._steps)"
        text = quoted(msgspec.json.encode(state).decode())
        row = f"select {number}, {quoted(state.table)}, {text} where {self.is_ours}"
        self.warehouse.command(f"insert into {self.name}._steps {row} {one_block()}")

    def insert(self, table: CountTable, select: str, settings: str) -> None:
        """Nothing if the claim is another's: that is looked at when the table is held already, so that `take` waits for it."""
        into = f"insert into {self.of(table.name)} ({table.columns})"
        self.warehouse.command(f"{into} select {table.columns} from ({select}) where {self.is_ours} {settings}")

    def forget(self, table: str) -> None:
        """Takes away all of one table, and the database with the last."""
        for name in (self.of(table), self.clone(table)):
            self.warehouse.command(f"drop table if exists {name} sync")
        of_table = f"table = {quoted(table)}"
        self.warehouse.command(f"alter table {self.name}._steps delete where {of_table} settings mutations_sync = 2")

    def close(self) -> None:
        """Takes the database away, unless another table is being made."""
        if not self.tables() - {"_claims", "_steps"}:
            self.warehouse.command(f"drop database if exists {self.name} sync")

    def of(self, table: str) -> str:
        return f"{self.name}.{table}"

    def clone(self, table: str) -> str:
        """The table in service as it was when this began."""
        return f"{self.name}._before_{table}"

    def block(self, table: str) -> int:
        """The number of the newest block."""
        return newest_blocks(self.warehouse, [table], self.name)[table]

    def uuid(self, database: str, table: str) -> str:
        sql = "select toString(uuid) from system.tables where database = {database:String} and name = {table:String}"
        found = self.warehouse.trusted_rows(sql, {"database": database, "table": table}).data
        return str(found[0][0]) if found else ""

    def tables(self) -> set[str]:
        sql = "select name from system.tables where database = {database:String}"
        return {row[0] for row in self.warehouse.trusted_rows(sql, {"database": self.name}).data}


def discard(warehouse: Warehouse) -> None:
    """Takes away what is being made, and the events at hand for it: users in them are gone, or others, now."""
    shadows = Shadows(warehouse, "")
    for table in shadows.tables() - {"_claims", "_steps"}:
        warehouse.command(f"drop table if exists {shadows.name}.{table} sync")
    if "_steps" in shadows.tables():
        warehouse.command(f"truncate table {shadows.name}._steps")
    warehouse.command(f"drop database if exists {warehouse.database}_{PART} sync")


def seconds_of(warehouse: Warehouse, table: str, events: int) -> int:
    """How long a rebuild will take, about: as the latest of this table did, or of any."""
    return max(1, round(events / (_rate(warehouse, table) or USUAL_RATE)))


def _rate(warehouse: Warehouse, table: str) -> int:
    """Events a second, 0 if there was no rebuild yet."""
    sql = f"select marks from {warehouse.database}.rewrites where kind = {{kind:String}} order by id desc limit 100"
    found = [row[0] for row in warehouse.trusted_rows(sql, {"kind": RATE}).data]
    of_table = [marks[table] for marks in found if table in marks]
    return int(next(iter([*of_table, *(next(iter(marks.values())) for marks in found)]), 0))
