"""Bit rot: parts whose bytes are not what the engine once wrote, found by the checksums that each part has.

A part that cannot be loaded at all is set aside by the engine when it opens the table; its rows are missing from then on. Other
damage shows when a query happens to read it, or here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from alsobought.errors import WarehouseFault
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

ROCKSDB = "EmbeddedRocksDB"
SET_ASIDE = "broken-on-start_"
GONE = ("NO_SUCH_DATA_PART", "UNKNOWN_TABLE")  # merged or dropped meanwhile


class BrokenPart(msgspec.Struct, frozen=True, order=True):
    """`part` is empty for a serving table, which has none. `set_aside`: its rows are missing until it is replaced."""

    table: str
    part: str
    reason: str
    set_aside: bool = False

    @property
    def where(self) -> str:
        return f"part {self.part} of {self.table}" if self.part else self.table

    @property
    def message(self) -> str:
        state = "could not be loaded and was set aside, its rows are missing" if self.set_aside else self.reason
        return f"{self.where}: {state}"


def parts_set_aside(warehouse: Warehouse) -> list[BrokenPart]:
    """The parts that the engine could not load. Quick."""
    sql = (
        "select table, name from system.detached_parts where database = {database:String} and startsWith(reason, 'broken')"
        " order by table, name"
    )
    rows = warehouse.trusted_rows(sql, {"database": warehouse.database}).data
    return [BrokenPart(table, name.removeprefix(SET_ASIDE), "set aside", True) for table, name in rows]


def check_parts(warehouse: Warehouse, pause: Callable[[], object] = lambda: None) -> Iterator[BrokenPart]:
    """Reads every part of every table once, in one thread, and yields the broken ones. Calls `pause` before each part."""
    sql = (
        "select table, name from system.parts where database = {database:String} and active and rows > 0"
        " order by table, name"
    )
    yield from parts_set_aside(warehouse)
    for table, part in warehouse.trusted_rows(sql, {"database": warehouse.database}).data:
        pause()
        if reason := _fault_of(warehouse, table, part):
            yield BrokenPart(table, part, reason)
    sql = "select name from system.tables where database = {database:String} and engine = {engine:String} order by name"
    for (table,) in warehouse.trusted_rows(sql, {"database": warehouse.database, "engine": ROCKSDB}).data:
        pause()
        try:
            warehouse.trusted_rows(f"select count() from {warehouse.database}.{table} where not ignore(*)")
        except WarehouseFault as error:
            yield BrokenPart(table, "", _short(error.message))


def _fault_of(warehouse: Warehouse, table: str, part: str) -> str:
    """What is wrong with a part; empty if nothing, or if it was merged meanwhile."""
    sql = (
        f"check table {warehouse.database}.{table} part {quoted(part)}"
        " settings check_query_single_value_result = 0, max_threads = 1"
    )
    try:
        rows = warehouse.trusted_rows(sql).data
    except WarehouseFault as error:
        return "" if any(code in f"{error.message} {error.__cause__}" for code in GONE) else _short(error.message)
    return next((_short(message) for _, passed, message in rows if not int(passed)), "")


def _short(message: str) -> str:
    """The engine's reason without its codes.

    >>> _short("Code: 40. DB::Exception: Checksum mismatch for file data.bin in data part all_1_1_0 (cf vs bb). (X) (version 26)")
    'checksum mismatch for file data.bin'
    >>> _short("DB::Exception: Checksum doesn't match: corrupted data. While reading /store/1/all_1_1_0/price.bin (position: 9)")
    "checksum doesn't match in price.bin"
    """
    file = re.search(r"[\w.%-]+\.(?:bin|c?mrk\d?|c?idx|txt|json)\b", message)
    text = message.partition("DB::Exception: ")[2] or message
    text = text.partition(" in data part ")[0].partition(". ")[0].partition(": ")[0].strip()
    where = f" in {file[0]}" if file and file[0] not in text else ""
    return text[:1].lower() + text[1:] + where
