"""The rows of users who move here from another warehouse, before they are adopted: a database of their own, which outlives a crash.

The rows travel over the connections of the two warehouses, in pieces of bounded size, in ClickHouse's format Native.
"""

from __future__ import annotations

from collections.abc import Sequence

from alsobought.settings import SCRATCH_SUFFIXES
from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.count_tables import CountTable
from alsobought.storage.scratch_database import drop_scratch
from alsobought.storage.warehouse import Warehouse

STAGE = "adopt"
PIECE_ROWS = 100_000
RECORDS = {"users": "user_id", "user_merges": "guest_id"}
"""Tables about users that no view feeds, by their key."""


def staged_table(warehouse: Warehouse, table: str) -> str:
    """A table of the stage, with its database."""
    if f"_{STAGE}" not in SCRATCH_SUFFIXES:
        raise ValueError(f"a shop may have a database that ends in _{STAGE}: add it to SCRATCH_SUFFIXES")
    return f"{warehouse.database}_{STAGE}.{table}"


def drop_stage(warehouse: Warehouse) -> None:
    drop_scratch(warehouse, STAGE)


def moved_tables(tables: Sequence[CountTable]) -> list[CountTable]:
    """The count tables whose rows belong to one user each: they move as they are, since they outlive the events."""
    return [table for table in tables if table.has_user_id or (table.owner and not table.is_summing)]


def stage_users(
    source: ClickHouseWarehouse, target: ClickHouseWarehouse, users: str, tables: Sequence[CountTable]
) -> int:
    """Copies what the source has of these users, a list in SQL, to the stage of the target; returns the number of their events.

    Only while nothing is being stored in the source. Their events get the batch 0: no batch of the target brought them, so that
    neither recovery nor the ledger of a load takes them for its own.
    """
    drop_stage(target)
    target.command(f"create database {target.database}_{STAGE}")
    of_users, events = f"user_id in ({users})", f"{source.database}.events"
    replaced = "select * replace (toUInt64(0) as batch, toUInt64(0) as epoch)"
    moved = _stage(source, target, "events", f"{replaced} from {events} where {of_users}", "user_id, seq, event_id")
    _in_one_part(target)
    for table in moved_tables(tables):
        rows = table.over(f"(select * from {events} where {of_users})", source.database)
        condition = of_users if table.has_user_id else f"{table.owner} in (select {table.owner} from ({rows}))"
        _stage(source, target, table.name, merged_rows(table, condition), ", ".join(table.keys))
    merges = f"select * from {source.database}.user_merges final where {of_users}"
    guests = f"select guest_id from ({merges})"
    about = f"select * from {source.database}.users final where {of_users} or user_id in ({guests})"
    for name, rows in (("user_merges", merges), ("users", about)):
        _stage(source, target, name, rows, RECORDS[name])
    return moved


def merged_rows(table: CountTable, condition: str) -> str:
    """A SELECT of the rows of a count table, each key once: parts that merge meanwhile do not change it."""
    name = f"{table.database}.{table.name}"
    if "any" in table.values.values():
        return f"select {table.columns} from {name} final where {condition}"
    keys = ", ".join(table.keys)
    values = "".join(f", {how}(stored.{value}) as {value}" for value, how in table.values.items())
    return f"select {keys}{values} from (select * from {name} where {condition}) as stored group by {keys}"


def copy_rows(source: ClickHouseWarehouse, target: ClickHouseWarehouse, select: str, into: str, key: str) -> int:
    """Copies the rows of a SELECT of the source into a table of the target, piece by piece. Returns their number."""
    rows = int(source.trusted_rows(f"select count() from ({select})").data[0][0])
    described = source.trusted_rows(f"describe table ({select})").data
    columns = [str(column[0]) for column in described]
    pieces = -(-rows // PIECE_ROWS)
    for piece in range(pieces):
        of_piece = f" where cityHash64({key}) % {pieces} = {piece}" if pieces > 1 else ""
        data = source.trusted_raw(f"select * from ({select}){of_piece}", {}, "Native")
        if data:
            target.insert_native(into, data, columns)
    return rows


def _stage(source: ClickHouseWarehouse, target: ClickHouseWarehouse, table: str, select: str, key: str) -> int:
    into = staged_table(target, table)
    target.command(f"create table {into} as {target.database}.{table}")
    return copy_rows(source, target, select, into, key)


def _in_one_part(target: ClickHouseWarehouse) -> None:
    """Merges the events into one part: they are attached at once, or not at all."""
    parameters = {"database": f"{target.database}_{STAGE}"}
    sql = "select count() from system.parts where active and database = {database:String} and table = 'events'"
    if int(target.trusted_rows(sql, parameters).data[0][0]) > 1:
        events = staged_table(target, "events")
        target.command(f"optimize table {events} final settings optimize_throw_if_noop = 1, alter_sync = 2")
