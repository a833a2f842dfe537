"""The journal: table `migrations`, a row for each start, success and failure of a migration.

Rows are only added; of a migration's rows the one with the highest `entry` counts. The first
databases have only the first four columns and a row per applied migration, so reading accepts
missing columns and opening adds them. `applied_at` is the time of the row, whatever its state.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from alsobought.migrations.files import Migration
from alsobought.storage.warehouse import Warehouse

TABLE = """create table if not exists {database}.migrations (
    version UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') default now64(3)
) engine = MergeTree order by version"""
COLUMNS = {
    "entry": "UInt64",
    "state": "LowCardinality(String) default 'applied'",
    "seconds": "Nullable(Float64)",
    "error": "String",
    "sql": "String",
}


@dataclass(frozen=True)
class Entry:
    """A row: `state` is `started`, `applied` or `failed`; `seconds` is None if not measured."""

    version: int
    checksum: str
    state: str
    applied_at: str
    seconds: float | None
    error: str
    sql: str


def objects(warehouse: Warehouse) -> frozenset[str]:
    """The names of all tables, views and dictionaries; empty if the database does not exist."""
    sql = "select name from system.tables where database = {database:String}"
    return frozenset(row[0] for row in warehouse.trusted_rows(sql, {"database": warehouse.database}).data)


def latest(warehouse: Warehouse) -> dict[int, Entry]:
    """{version: its last entry}. Read-only: an old table keeps its columns."""
    if "migrations" not in objects(warehouse):
        return {}
    rows = warehouse.trusted_rows(f"select * from {warehouse.database}.migrations").dicts()
    return {row["version"]: _entry(row) for row in sorted(rows, key=lambda row: int(row.get("entry", 0)))}


def open_journal(warehouse: Warehouse) -> Iterator[int]:
    """Creates the table, or adds the columns that an old one lacks.

    Returns the numbers of the next entries.
    """
    warehouse.command(TABLE.format(database=warehouse.database))
    sql = "select name from system.columns where database = {database:String} and table = 'migrations'"
    existing = {row[0] for row in warehouse.trusted_rows(sql, {"database": warehouse.database}).data}
    if missing := [f"add column if not exists {name} {kind}" for name, kind in COLUMNS.items() if name not in existing]:
        warehouse.command(f"alter table {warehouse.database}.migrations {', '.join(missing)}")
    newest = warehouse.trusted_rows(f"select max(entry) from {warehouse.database}.migrations").data[0][0]
    return itertools.count(int(newest) + 1)


def write(warehouse: Warehouse, entry: int, migration: Migration, state: str, **facts: Any) -> None:
    """Adds an entry; `facts` are its `seconds`, `error` or `sql`."""
    row = {
        "version": migration.version,
        "name": migration.name,
        "checksum": migration.checksum,
        "entry": entry,
        "state": state,
        **facts,
    }
    warehouse.insert("migrations", msgspec.json.encode(row), columns=tuple(row))


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(
        version=row["version"],
        checksum=row["checksum"],
        state=row.get("state", "applied"),
        applied_at=row["applied_at"].replace(" ", "T") + "Z",
        seconds=row.get("seconds"),
        error=row.get("error", ""),
        sql=row.get("sql", ""),
    )
