"""The journal of everything that changes stored rows, other than batches: written before, and once more when it is done.

A batch from before must never be stored again: what its views made may be gone by now, and tables that were exchanged do not
know its token. So the journal says up to which batch that holds, and `recover` asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from alsobought.storage.warehouse import Warehouse

MANY = 1_000_000  # more words than any rewrite says
HELD_SECONDS = 60  # so long after its last word a rewrite keeps other writers of a server waiting


class Rewrite(msgspec.Struct, frozen=True):
    """`about` says what is wanted, as JSON, while it is not done. `marks` has the newest block of each table before it."""

    id: int
    kind: str
    about: str
    batch: int
    marks: dict[str, int]
    done: bool = False
    version: int = 0


def newest_blocks(warehouse: Warehouse, tables: Iterable[str], database: str = "") -> dict[str, int]:
    """The number of the newest block of each of these tables, of ours or of another database; 0 for an empty one.

    Every insert and every attached part has a higher one.
    """
    sql = (
        "select table, max(max_block_number) from system.parts"
        " where active and database = {database:String} group by table"
    )
    found = dict(warehouse.trusted_rows(sql, {"database": database or warehouse.database}).data)
    return {table: int(found.get(table, 0)) for table in tables}


def begin(
    warehouse: Warehouse, identity: int, kind: str, about: str, tables: Iterable[str], confirm: Callable[[], None]
) -> Rewrite:
    """Writes down what is about to be done. Only while nothing is stored and all views have every batch.

    `confirm` raises LeaseLost if another writer claimed the turn before it could see this: then nothing is begun.
    """
    batch = int(warehouse.trusted_rows(f"select max(batch) from {warehouse.database}.events").data[0][0])
    rewrite = Rewrite(identity, kind, about, batch, newest_blocks(warehouse, tables))
    _write(warehouse, rewrite)
    try:
        confirm()
    except BaseException:
        end(warehouse, rewrite)
        raise
    return rewrite


def let_go(warehouse: Warehouse, rewrite: Rewrite) -> None:
    """It went wrong half-way: the next writer need not wait for us, and ends it."""
    later = msgspec.structs.replace(rewrite, version=rewrite.version + MANY)
    _write(warehouse, later, noted_at=0)


def note(warehouse: Warehouse, identity: int, kind: str, marks: dict[str, int]) -> None:
    """Something that is done by one statement."""
    _write(warehouse, Rewrite(identity, kind, "", 0, marks, done=True))


def go_on(warehouse: Warehouse, rewrite: Rewrite) -> Rewrite:
    """Says that it is still being done, so that other writers wait on."""
    later = msgspec.structs.replace(rewrite, version=rewrite.version + 1)
    _write(warehouse, later)
    return later


def end(warehouse: Warehouse, rewrite: Rewrite) -> None:
    """It is done; what it was about is forgotten."""
    _write(warehouse, msgspec.structs.replace(rewrite, about="", done=True, version=rewrite.version + 1))
    of_before = f"id = {rewrite.id:d} and not done"
    warehouse.command(f"alter table {warehouse.database}.rewrites delete where {of_before} settings mutations_sync = 2")


def unfinished(warehouse: Warehouse) -> list[Rewrite]:
    """What a crash interrupted, oldest first."""
    sql = f"select id, kind, about, batch, marks, done, version from {warehouse.database}.rewrites final"
    sql += " where not done order by id"
    return msgspec.convert(warehouse.trusted_rows(sql).dicts(), list[Rewrite], strict=False)


def settled_batch(warehouse: Warehouse) -> int:
    """No batch up to this one may be stored again."""
    return int(warehouse.trusted_rows(f"select max(batch) from {warehouse.database}.rewrites").data[0][0])


def under_way(warehouse: Warehouse) -> bool:
    """Whether a process is at one now."""
    sql = (
        f"select countIf(noted_at > now64(3) - interval {HELD_SECONDS} second) from {warehouse.database}.rewrites final"
    )
    return bool(warehouse.trusted_rows(f"{sql} where not done").data[0][0])


def _write(warehouse: Warehouse, rewrite: Rewrite, **more: int) -> None:
    warehouse.insert("rewrites", msgspec.json.encode({**msgspec.structs.asdict(rewrite), **more}))
