"""The journal of changes to stored rows, other than batches: one entry before a change, and one when it is done.

A batch from before a change must never be stored again: the rows its views made may be gone, and exchanged tables do not know
its token. `recover` reads here up to which batch that holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from alsobought.storage.warehouse import Warehouse

ABANDONED_VERSIONS = 1_000_000  # an abandoned rewrite outbids every heartbeat
NOTES = ("move", "homing")  # entries about changes of two warehouses, which `writer.user_move` finishes
HEARTBEAT_SECONDS = 60  # a rewrite delays other writers of a server this long after its last heartbeat


class Rewrite(msgspec.Struct, frozen=True):
    """`about` is the request as JSON until it is done. `marks` has the newest block of each table before it."""

    id: int
    kind: str
    about: str
    batch: int
    marks: dict[str, int]
    done: bool = False
    version: int = 0


def newest_blocks(warehouse: Warehouse, tables: Iterable[str], database: str = "") -> dict[str, int]:
    """The number of the newest block of each of these tables, in our database or another; 0 for an empty table.

    Every insert and every attached part has a higher one.
    """
    blocks = blocks_of_all(warehouse, database)
    return {table: blocks.get(table, 0) for table in tables}


def blocks_of_all(warehouse: Warehouse, database: str = "") -> dict[str, int]:
    """The number of the newest block of every table that is not empty."""
    sql = (
        "select table, max(max_block_number) from system.parts"
        " where active and database = {database:String} group by table"
    )
    return dict(warehouse.trusted_rows(sql, {"database": database or warehouse.database}).data)


def begin(
    warehouse: Warehouse, identity: int, kind: str, about: str, tables: Iterable[str], confirm: Callable[[], None]
) -> Rewrite:
    """Records a change that is about to begin. Only while nothing is being stored and all views have every batch.

    `confirm` raises LeaseLost if another writer took the lease before it could see this entry: then nothing is begun.
    """
    batch = int(warehouse.trusted_rows(f"select max(batch) from {warehouse.database}.events").data[0][0])
    rewrite = Rewrite(identity, kind, about, batch, newest_blocks(warehouse, tables))
    _write(warehouse, rewrite)
    try:
        confirm()
    except BaseException:
        finish(warehouse, rewrite)
        raise
    return rewrite


def abandon(warehouse: Warehouse, rewrite: Rewrite) -> None:
    """After a failure half-way: the next writer finishes the change at once instead of waiting for this one."""
    abandoned = msgspec.structs.replace(rewrite, version=rewrite.version + ABANDONED_VERSIONS)
    _write(warehouse, abandoned, noted_at=0)


def record_done(warehouse: Warehouse, identity: int, kind: str, marks: dict[str, int], batch: int = 0) -> None:
    """Records a change that took one statement. With a `batch`, it and all older ones must not be stored again."""
    _write(warehouse, Rewrite(identity, kind, "", batch, marks, done=True))


def heartbeat(warehouse: Warehouse, rewrite: Rewrite) -> Rewrite:
    """Records that the change is still in progress, so that other writers keep waiting."""
    renewed = msgspec.structs.replace(rewrite, version=rewrite.version + 1)
    _write(warehouse, renewed)
    return renewed


def finish(warehouse: Warehouse, rewrite: Rewrite) -> None:
    """Records that the change is done, and deletes its request."""
    _write(warehouse, msgspec.structs.replace(rewrite, about="", done=True, version=rewrite.version + 1))
    earlier_entries = f"id = {rewrite.id:d} and not done"
    warehouse.command(
        f"alter table {warehouse.database}.rewrites delete where {earlier_entries} settings mutations_sync = 1"
    )


def note(warehouse: Warehouse, identity: int, kind: str, about: str) -> Rewrite:
    """Records that a change of two warehouses is under way. It delays no other writer, and nobody finishes it alone."""
    rewrite = Rewrite(identity, kind, about, 0, {})
    _write(warehouse, rewrite, noted_at=0)
    return rewrite


def open_notes(warehouse: Warehouse) -> list[Rewrite]:
    """The changes of two warehouses that are under way or were interrupted, oldest first."""
    return [rewrite for rewrite in _not_done(warehouse) if rewrite.kind in NOTES]


def is_recorded(warehouse: Warehouse, identity: int, kind: str) -> bool:
    """True if `record_done` recorded this change."""
    sql = (
        f"select count() from {warehouse.database}.rewrites where id = {identity:d} and kind = {{kind:String}} and done"
    )
    return bool(warehouse.trusted_rows(sql, {"kind": kind}).data[0][0])


def unfinished(warehouse: Warehouse) -> list[Rewrite]:
    """Changes that a crash interrupted, oldest first."""
    return [rewrite for rewrite in _not_done(warehouse) if rewrite.kind not in NOTES]


def _not_done(warehouse: Warehouse) -> list[Rewrite]:
    sql = f"select id, kind, about, batch, marks, done, version from {warehouse.database}.rewrites final"
    sql += " where not done order by id"
    return msgspec.convert(warehouse.trusted_rows(sql).dicts(), list[Rewrite], strict=False)


def settled_batch(warehouse: Warehouse) -> int:
    """The newest batch before the latest change: it and all older ones must not be stored again."""
    return int(warehouse.trusted_rows(f"select max(batch) from {warehouse.database}.rewrites").data[0][0])


def in_progress(warehouse: Warehouse) -> bool:
    """True if a process is carrying out a change now."""
    sql = (
        f"select countIf(noted_at > now64(3) - interval {HEARTBEAT_SECONDS} second)"
        f" from {warehouse.database}.rewrites final"
    )
    return bool(warehouse.trusted_rows(f"{sql} where not done").data[0][0])


def _write(warehouse: Warehouse, rewrite: Rewrite, **columns: int) -> None:
    warehouse.insert("rewrites", msgspec.json.encode({**msgspec.structs.asdict(rewrite), **columns}))
