"""The other replicas of a shard follow the one that was migrated: they copy its schema and its journal.

Running the migrations there would fail: a replica must create each table as it is by now, and ALTERs of replicated tables reach it
through Keeper. What is not replicated is copied: new tables, views, dictionaries, the settings of tables, and the journal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import msgspec

from alsobought.errors import WarehouseFault
from alsobought.migrations import journal, lock
from alsobought.migrations.files import migrations
from alsobought.storage.replicated_tables import rows_of
from alsobought.storage.sql_text import quoted_identifier
from alsobought.storage.warehouse import Warehouse

SETTING = re.compile(r"(\w+) = ('(?:[^'\\]|\\.)*'|[\w.]+)")


@dataclass(frozen=True)
class SchemaObject:
    """A table, view or dictionary: its engine, and the statement that creates it."""

    name: str
    engine: str
    engine_full: str
    create: str

    @property
    def is_table(self) -> bool:
        return self.engine not in ("MaterializedView", "View", "Dictionary")

    @property
    def settings(self) -> dict[str, str]:
        """The settings of a table, with their values as SQL."""
        return dict(SETTING.findall(self.engine_full.rpartition(" SETTINGS ")[2])) if self.is_table else {}


def follow(migrated: Warehouse, replica: Warehouse, folder: Path, *, break_lock: bool = False) -> list[str]:
    """Makes the schema of a replica that of the one which was migrated. Returns the names of the objects that changed.

    A replica that is new, or that was away during a migration, is brought up to date by the same steps. Raises WarehouseFault.
    """
    with lock.held(replica, break_lock=break_lock) if lock.needed(replica) else nullcontext():
        changed = _copy_objects(migrated, replica, folder)
        _copy_journal(migrated, replica)
    return changed


def _copy_objects(migrated: Warehouse, replica: Warehouse, folder: Path) -> list[str]:
    wanted, existing = _objects(migrated), _objects(replica)
    names = {migration.shape.name for migration in migrations(folder)}
    names |= {rows_of(name) for name in names}
    changed = []
    for name in (existing.keys() - wanted.keys()) & names:
        _drop(replica, existing.pop(name))
        changed.append(name)
    for name, one in list(existing.items()):
        if name in names and not one.is_table and one.create != wanted[name].create:
            _drop(replica, existing.pop(name))
    missing = [one for name, one in wanted.items() if name in names and name not in existing]
    _await_alters(replica, [one.name for one in existing.values() if one.engine.startswith("Replicated")])
    changed += _create(replica, missing)
    for name in existing.keys() & wanted.keys() & names:
        settings = [
            f"{setting} = {value}"
            for setting, value in wanted[name].settings.items()
            if existing[name].settings.get(setting) != value
        ]
        if settings:
            replica.command(f"alter table {replica.database}.{name} modify setting {', '.join(settings)}")
            changed.append(name)
    return sorted(changed)


def _objects(warehouse: Warehouse) -> dict[str, SchemaObject]:
    sql = "select name, engine, engine_full, create_table_query from system.tables where database = {database:String}"
    rows = warehouse.trusted_rows(sql, {"database": warehouse.database}).data
    return {row[0]: SchemaObject(*row) for row in rows}


def _drop(replica: Warehouse, one: SchemaObject) -> None:
    kind = "table" if one.is_table else "dictionary" if one.engine == "Dictionary" else "view"
    replica.command(f"drop {kind} if exists {replica.database}.{one.name} sync")


def _await_alters(replica: Warehouse, tables: Sequence[str]) -> None:
    """Waits until ALTERs that the migrated replica ran have arrived: new views may need their columns."""
    for table in tables:
        replica.command(f"system sync replica {replica.database}.{table}")


def _create(replica: Warehouse, missing: Sequence[SchemaObject]) -> Iterator[str]:
    """Creates them in an order in which each finds what it needs: tables first, and again those that failed."""
    left = sorted(missing, key=lambda one: (not one.is_table, one.engine))
    while left:
        failed: list[tuple[SchemaObject, WarehouseFault]] = []
        for one in left:
            try:
                replica.command(one.create)
                yield one.name
            except WarehouseFault as fault:
                failed.append((one, fault))
        if len(failed) == len(left):
            raise failed[0][1]
        left = [one for one, _ in failed]


def _copy_journal(migrated: Warehouse, replica: Warehouse) -> None:
    newest = next(journal.open_journal(replica)) - 1
    columns = ["version", "name", "checksum", "applied_at", *journal.COLUMNS]
    sql = f"select {', '.join(map(quoted_identifier, columns))} from {migrated.database}.migrations where entry > {newest:d}"
    if rows := migrated.trusted_rows(f"{sql} order by entry").dicts():
        replica.insert("migrations", msgspec.json.Encoder().encode_lines(rows), columns=columns)
