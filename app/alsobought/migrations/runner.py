"""migrations/ → the database: what is pending runs in order, each file done or not done, forward only.

`started` is written before a statement and `applied` after it, so a run killed at any point goes on where it was: every
statement may run twice (`migrations.statement` sees to that).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from alsobought.counts.shadow_table import seconds_of
from alsobought.errors import AlsoboughtError, MigrationFault, TooSlow
from alsobought.failpoints import reach
from alsobought.migrations import journal, lock
from alsobought.migrations.cluster import create_database, on_cluster
from alsobought.migrations.files import Migration, migrations, tables
from alsobought.migrations.journal import Entry
from alsobought.migrations.schema import DATABASE, schema
from alsobought.migrations.statement import Statement, read_statement, repeatable
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.count_tables import VIEW_SUFFIX
from alsobought.storage.warehouse import Warehouse


@dataclass(frozen=True)
class Step:
    """A migration and where it stands: `applied`, `pending`, `started` (a run was killed), `failed`, or `edited` since."""

    migration: Migration
    state: str
    entry: Entry | None = None


@dataclass(frozen=True)
class Planned:
    """What `up` runs for one file, in order, and what there is to know before; `migration` has the reason."""

    migration: Migration
    statements: list[str]
    note: str


def status(warehouse: Warehouse | None, folder: Path) -> list[Step]:
    """Every file with its state; where there is no database or no journal, all are pending. Changes nothing."""
    entries = journal.latest(warehouse) if warehouse else {}
    done = {version: entry.checksum for version, entry in entries.items() if entry.state == "applied"}
    found = migrations(folder, done)
    if entries and (ahead := max(entries)) > len(found):
        raise MigrationFault(
            f"the database has migration {ahead:04}, and {folder} ends at {len(found):04}",
            "Use the files that migrated it: `git pull` or `alsobought upgrade`, or name their folder in ALSOBOUGHT_HOME",
        )
    return [_step(migration, entries.get(migration.version)) for migration in found]


def _step(migration: Migration, entry: Entry | None) -> Step:
    if entry is None:
        return Step(migration, "pending")
    edited = entry.state == "applied" and entry.checksum != migration.checksum
    return Step(migration, "edited" if edited else entry.state, entry)


def plan(warehouse: Warehouse | None, folder: Path, database: str, cluster: str = "") -> Iterator[Planned]:
    """What `up` would do now. Raises what it would raise before it does anything."""
    steps = _usable(warehouse, folder)
    if all(step.state == "applied" for step in steps):
        return
    names = tables([step.migration for step in steps])
    for step in steps:
        if step.state != "applied":
            shape = step.migration.statement(database)
            statements = on_cluster(shape, database, cluster, names) if cluster else [repeatable(shape)]
            yield Planned(step.migration, statements, _note(warehouse, shape))


def up(warehouse: Warehouse, folder: Path, cluster: str = "", *, break_lock: bool = False) -> Iterator[Planned]:
    """Applies what is pending, yielding each once it is done.

    Raises MigrationFault at the first that fails; those before it stay applied.
    """
    with lock.held(warehouse, break_lock=break_lock) if lock.needed(warehouse) else nullcontext():
        planned = list(plan(warehouse, folder, warehouse.database, cluster))
        if not planned:
            return
        if cluster:
            warehouse.command(create_database(warehouse.database, cluster))
        entries = journal.open_journal(warehouse)
        reach("migrate.journal")
        for one in planned:
            _apply(warehouse, entries, one)
            yield one


def _usable(warehouse: Warehouse | None, folder: Path) -> list[Step]:
    """The steps, if none of them stands in the way."""
    steps = status(warehouse, folder)
    for step in steps:
        if step.state == "edited":
            raise MigrationFault(f"{step.migration.name} was edited after it was applied", _put_back(warehouse, step))
        if warehouse and step.state == "started" and step.entry and step.entry.checksum != step.migration.checksum:
            _refuse_if_perhaps_done(warehouse, step, step.entry)
    return steps


def _put_back(warehouse: Warehouse | None, step: Step) -> str:
    folder = warehouse.folder if warehouse else None
    again = f"; or, if all that it holds can be loaded again, delete {folder}" if folder else ""
    return f"Put it back with `git checkout {step.migration.file}`, and write a new migration instead{again}"


def _refuse_if_perhaps_done(warehouse: Warehouse, step: Step, entry: Entry) -> None:
    """A run was killed at the old text of this file: only what is not there, or still there, shows that nothing was done."""
    old = read_statement(entry.sql, warehouse.database)
    there = old.name in journal.objects(warehouse)
    if there if old.verb == "create" else not there if old.verb == "drop" else True:
        undo = f"`drop {old.kind.split()[-1]} {warehouse.database}.{old.name}`" if old.verb == "create" else ""
        raise MigrationFault(
            f"{step.migration.name} was edited after a run was killed at it, and its old text may have been carried out",
            f"Put it back with `git checkout {step.migration.file}`" + (f", or {undo} first" if undo else ""),
        )


def _note(warehouse: Warehouse | None, shape: Statement) -> str:
    """For a new view on events, or a new text of one: that it does not know those that are there, and what makes it."""
    is_view = (shape.verb, shape.kind) == ("create", "materialized view") and "events" in shape.words
    there = journal.objects(warehouse) if warehouse and is_view else ()
    if not warehouse or "events" not in there:
        return ""
    older = int(warehouse.trusted_rows(f"select count() from {warehouse.database}.events").data[0][0])
    if not older:
        return ""
    table = shape.name.removesuffix(VIEW_SUFFIX)
    seconds = seconds_of(warehouse, table, older) if "rewrites" in there else 0
    then = f"; `alsobought rebuild {table}` counts them" + (f", in about {seconds:,} s" if seconds else "")
    return f"{shape.name} counts from now on only: {older:,} events are older{then}"


def _apply(warehouse: Warehouse, entries: Iterator[int], planned: Planned) -> None:
    migration = planned.migration
    journal.write(warehouse, next(entries), migration, "started", sql=migration.statement(warehouse.database).sql)
    reach("migrate.started")
    began = time.monotonic()
    try:
        for statement in planned.statements:
            warehouse.command(statement)
            reach("migrate.ran")
    except AlsoboughtError as error:
        if _refused(error):
            with suppress(AlsoboughtError):  # the first error is the one to tell
                journal.write(warehouse, next(entries), migration, "failed", error=error.message)
        raise MigrationFault(f"{migration.name} failed: {error}") from error
    journal.write(warehouse, next(entries), migration, "applied", seconds=round(time.monotonic() - began, 3))
    reach("migrate.applied")


def _refused(error: AlsoboughtError) -> bool:
    """True if the engine said no; a connection that broke leaves it open whether the statement was carried out."""
    return "DB::Exception" in str(error.__cause__) and not isinstance(error, TooSlow)


def replayed_schema(settings: Settings) -> dict[str, str]:
    """{file of sql/schema/: its text}, from all migrations applied in memory."""
    memory = msgspec.structs.replace(settings, dsn="chdb://:memory:", database=DATABASE)
    warehouse = open_warehouse(memory)
    try:
        folder = settings.home_folder / "migrations"
        list(up(warehouse, folder))
        return schema(warehouse, migrations(folder))
    finally:
        warehouse.command(f"drop database {DATABASE}")
        warehouse.close()
