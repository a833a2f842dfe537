"""Apply pending migrations in order, forward only. After a kill, the next run continues.

`started` is written to the journal before a statement and `applied` after it, and every statement
may run twice (`migrations.idempotence`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from alsobought.access.audit import Actor
from alsobought.counts.shadow_table import seconds_of
from alsobought.errors import AlsoboughtError, MigrationFault, TooSlow
from alsobought.failpoints import reach
from alsobought.migrations import journal, lock, recording
from alsobought.migrations.files import Migration, by_key, feeds, migrations
from alsobought.migrations.journal import Entry
from alsobought.migrations.replicated import on_replica
from alsobought.migrations.schema import DATABASE, schema
from alsobought.migrations.statement import Statement, read_statement, repeatable
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.count_tables import materialized_views
from alsobought.storage.topology import node_settings
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.recovery import settle


@dataclass(frozen=True)
class Step:
    """A migration and its state.

    `applied`, `pending`, `started` (a run was killed there), `failed`, or `edited` since.
    """

    migration: Migration
    state: str
    entry: Entry | None = None


@dataclass(frozen=True)
class Planned:
    """The statements that `up` runs for one file, and a note for the operator, perhaps empty."""

    migration: Migration
    statements: list[str]
    note: str


def status(warehouse: Warehouse | None, folder: Path) -> list[Step]:
    """Every file with its state; without a database or a journal, all are pending. Read-only."""
    entries = journal.latest(warehouse) if warehouse else {}
    applied = {version: entry.checksum for version, entry in entries.items() if entry.state == "applied"}
    files = migrations(folder, applied)
    if entries and (newest := max(entries)) > len(files):
        raise MigrationFault(
            f"the database has migration {newest:04}, but {folder} ends at {len(files):04}",
            "Use the files that migrated it: `git pull` or `alsobought upgrade`, or set ALSOBOUGHT_HOME to their folder",
        )
    return [_step(migration, entries.get(migration.version)) for migration in files]


def _step(migration: Migration, entry: Entry | None) -> Step:
    if entry is None:
        return Step(migration, "pending")
    edited = entry.state == "applied" and entry.checksum != migration.checksum
    return Step(migration, "edited" if edited else entry.state, entry)


def plan(warehouse: Warehouse | None, folder: Path, database: str, *, replicated: bool = False) -> Iterator[Planned]:
    """The migrations that `up` would apply now. `replicated`: to a replica, of which a shard has several.

    Read-only; raises what `up` would raise before its first statement.
    """
    steps = _usable(warehouse, folder)
    if all(step.state == "applied" for step in steps):
        return
    files = [step.migration for step in steps]
    key_value_tables, feed_names = by_key(files), feeds(files)
    for step in steps:
        if step.state != "applied":
            shape = step.migration.statement(database)
            statements = on_replica(shape, database, key_value_tables) if replicated else [repeatable(shape)]
            yield Planned(step.migration, statements, _note(warehouse, shape, feed_names))


def up(
    warehouse: Warehouse,
    folder: Path,
    *,
    replicated: bool = False,
    break_lock: bool = False,
    by: Actor | None = None,
) -> Iterator[Planned]:
    """Applies the pending migrations, yielding each once it is applied. `by` is recorded; None for a database in memory.

    `replicated`: to one replica of a shard. The others follow it afterwards (`migrations.replicas`).

    Raises MigrationFault at the first that fails; those before it stay applied.
    """
    with lock.held(warehouse, break_lock=break_lock) if lock.needed(warehouse) else nullcontext():
        pending = list(plan(warehouse, folder, warehouse.database, replicated=replicated))
        if not pending:
            return
        entries = journal.open_journal(warehouse)
        reach("migrate.journal")
        if any(_drops_a_view(planned.migration.shape) for planned in pending) and _has_batches(warehouse):
            settle(warehouse)
        with _recorded(warehouse, by, pending) as applied:
            for planned in pending:
                _apply(warehouse, entries, planned)
                applied.append(planned.migration.name)
                yield planned


def _recorded(warehouse: Warehouse, by: Actor | None, pending: Sequence[Planned]) -> AbstractContextManager[list[str]]:
    names = [planned.migration.name for planned in pending]
    return recording.recorded(warehouse, by, names) if by else nullcontext([])


def _usable(warehouse: Warehouse | None, folder: Path) -> list[Step]:
    """The steps.

    Raises MigrationFault if one was edited after it was, or may have been, applied.
    """
    steps = status(warehouse, folder)
    for step in steps:
        if step.state == "edited":
            raise MigrationFault(
                f"{step.migration.name} was edited after it was applied", _restore_hint(warehouse, step)
            )
        if warehouse and step.state == "started" and step.entry and step.entry.checksum != step.migration.checksum:
            _reject_if_maybe_applied(warehouse, step, step.entry)
    return steps


def _restore_hint(warehouse: Warehouse | None, step: Step) -> str:
    folder = warehouse.folder if warehouse else None
    reload = f"; or, if all its data can be loaded again, delete {folder}" if folder else ""
    return f"Restore it with `git checkout {step.migration.file}`, and write a new migration instead{reload}"


def _reject_if_maybe_applied(warehouse: Warehouse, step: Step, entry: Entry) -> None:
    """A run was killed at the old text of this file.

    Only an absent created or a present dropped object proves it did not run.
    """
    old = read_statement(entry.sql, warehouse.database)
    exists = old.name in journal.objects(warehouse)
    if exists if old.verb == "create" else not exists if old.verb == "drop" else True:
        undo = f"`drop {old.kind.split()[-1]} {warehouse.database}.{old.name}`" if old.verb == "create" else ""
        raise MigrationFault(
            f"{step.migration.name} was edited after a run was killed at it, and its old text may have been applied",
            f"Restore it with `git checkout {step.migration.file}`" + (f", or {undo} first" if undo else ""),
        )


def _note(warehouse: Warehouse | None, shape: Statement, feed_names: Collection[str]) -> str:
    """For a view that counts, a new column, or on a server a dropped view: the command that counts what is missing."""
    creates_view = (shape.verb, shape.kind) == ("create", "materialized view")
    adds_column = shape.verb == "alter" and any((one.verb, one.noun) == ("add", "column") for one in shape.commands)
    concerned = creates_view or adds_column or _drops_a_view(shape)
    objects = journal.objects(warehouse) if warehouse and concerned else frozenset()
    if not warehouse or not objects >= {"events"}:
        return ""
    older = int(warehouse.trusted_rows(f"select count() from {warehouse.database}.events").data[0][0])
    if not older:
        return ""
    views = {view.name: view.table for view in materialized_views(warehouse)}
    if _drops_a_view(shape) and warehouse.shared and shape.name in views:
        return f"if events are stored before it is created again, `alsobought rebuild {views[shape.name]}` counts them"
    if adds_column and shape.name in views.values():
        return f"{shape.name} has it for new rows only; `alsobought rebuild {shape.name}` fills it for {older:,} older events"
    table = shape.target
    reads = creates_view and shape.names({"events", *feed_names})
    if not reads or table in feed_names or table in views.values():
        return ""
    seconds = seconds_of(warehouse, table, older) if "rewrites" in objects else 0
    command = f"`alsobought rebuild {table}` counts them" + (f", in about {seconds:,} s" if seconds else "")
    return f"{shape.name} counts from now on only: {older:,} events are older; {command}"


def _drops_a_view(shape: Statement) -> bool:
    return shape.verb == "drop" and shape.kind in ("view", "materialized view")


def _has_batches(warehouse: Warehouse) -> bool:
    return journal.objects(warehouse) >= {"events", "rewrites"}


def _apply(warehouse: Warehouse, entries: Iterator[int], planned: Planned) -> None:
    migration = planned.migration
    journal.write(warehouse, next(entries), migration, "started", sql=migration.statement(warehouse.database).sql)
    reach("migrate.started")
    start = time.monotonic()
    try:
        for statement in planned.statements:
            warehouse.command(statement)
            reach("migrate.ran")
    except AlsoboughtError as error:
        if _is_from_engine(error):
            with suppress(AlsoboughtError):  # report the first error
                journal.write(warehouse, next(entries), migration, "failed", error=error.message)
        raise MigrationFault(f"{migration.name} failed: {error}") from error
    journal.write(warehouse, next(entries), migration, "applied", seconds=round(time.monotonic() - start, 3))
    reach("migrate.applied")


def _is_from_engine(error: AlsoboughtError) -> bool:
    """True if the engine rejected the statement; a broken connection leaves that open."""
    return "DB::Exception" in str(error.__cause__) and not isinstance(error, TooSlow)


def replayed_schema(settings: Settings) -> dict[str, str]:
    """{file of sql/schema/: its text}, from all migrations applied to a database in memory."""
    memory = msgspec.structs.replace(node_settings(settings, "chdb://:memory:"), database=DATABASE)
    warehouse = open_warehouse(memory)
    try:
        folder = settings.home_folder / "migrations"
        list(up(warehouse, folder))
        return schema(warehouse, migrations(folder))
    finally:
        warehouse.command(f"drop database {DATABASE}")
        warehouse.close()
