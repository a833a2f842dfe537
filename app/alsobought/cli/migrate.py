"""`alsobought migrate …`: apply migrations, show the plan and the status, draft new ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alsobought.console import escaped, out, print_heading, print_json
from alsobought.errors import Unusable
from alsobought.project.package_files import own_project
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.migrations.runner import Step
    from alsobought.storage.warehouse import Warehouse

COLOURS = {"applied": "green", "pending": "yellow", "started": "yellow", "failed": "red", "edited": "red"}


@click.group()
def migrate() -> None:
    """Bring the database up to date.

    \b
    Example: alsobought migrate up
    """


@migrate.command("up")
@click.option("--dry-run", is_flag=True, help="Show what would be done and change nothing. Same as `plan`.")
@click.option("--break-lock", is_flag=True, help="Take the lock of another run. Make sure that its process is dead.")
@click.pass_obj
def migrate_up(settings: Settings, dry_run: bool, break_lock: bool) -> None:
    """Apply the pending migrations. After a killed run, continue where it stopped.

    \b
    Example: alsobought migrate up --dry-run
    """
    from alsobought.access.audit import operator
    from alsobought.migrations import runner
    from alsobought.service.ipc_client import reach_warehouse
    from alsobought.storage.topology import each_shard

    if dry_run:
        _show_plan(settings)
        return
    applied = 0
    for name, one in each_shard(settings):
        print_heading(name)
        warehouse = reach_warehouse(one)
        try:
            folder = settings.home_folder / "migrations"
            planned_here = runner.up(
                warehouse, folder, replicated=warehouse.replicated, break_lock=break_lock, by=operator()
            )
            for planned in planned_here:
                note = f" ({planned.note})" if planned.note else ""
                out.print(f"[green]applied[/] {planned.migration.name}{note}", soft_wrap=True)
                applied += 1
            _follow(one, warehouse, folder, break_lock=break_lock)
        finally:
            warehouse.close()
    if settings.whole_cluster:
        _spread(settings)
    out.print(f"{applied} applied" if applied else "Nothing to do: every migration is applied.")


def _follow(settings: Settings, migrated: Warehouse, folder: Path, *, break_lock: bool) -> None:
    """Brings the other replicas of a shard to what the migrated one has."""
    from alsobought.migrations.replicas import follow
    from alsobought.redaction import shown_address
    from alsobought.storage.clickhouse import open_warehouse
    from alsobought.storage.topology import node_settings, replicas_of

    for dsn in replicas_of(settings):
        if dsn != migrated.dsn:
            replica = open_warehouse(node_settings(settings, dsn))
            try:
                changed = follow(migrated, replica, folder, break_lock=break_lock)
            finally:
                replica.close()
            out.print(f"{escaped(shown_address(dsn))} follows: {len(changed)} tables and views changed")


def _spread(settings: Settings) -> None:
    """Makes the tables of all shards together, on every node. Only once all nodes have theirs."""
    from alsobought.service.ipc_client import reach_warehouse
    from alsobought.storage.distributed import spread
    from alsobought.storage.topology import each_node, shards_of

    for _, one in each_node(settings):
        warehouse = reach_warehouse(one, create=False)
        try:
            spread(warehouse, settings.cluster, len(shards_of(settings)))
        finally:
            warehouse.close()


@migrate.command("plan")
@click.pass_obj
def migrate_plan(settings: Settings) -> None:
    """Show what `up` would run, as SQL: each pending file with its reason. Changes nothing.

    \b
    Example: alsobought migrate plan
    """
    _show_plan(settings)


@migrate.command("status")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def migrate_status(settings: Settings, as_json: bool) -> None:
    """Show which migrations are applied, and when.

    Exit status 1 if one failed, or was edited after it was applied.

    `started`: a run was killed at this migration; `alsobought migrate up` continues there.

    \b
    Example: alsobought migrate status --json
    """
    from alsobought.migrations import runner
    from alsobought.service.ipc_client import reach_warehouse
    from alsobought.storage.topology import each_node

    nodes = {}
    for name, one in each_node(settings):
        warehouse = reach_warehouse(one, create=False, must_exist=False)
        try:
            nodes[name] = runner.status(warehouse, settings.home_folder / "migrations")
        finally:
            warehouse.close()
    if as_json:
        listed = {name: [_fields(step) for step in steps] for name, steps in nodes.items()}
        print_json({"nodes": listed} if settings.whole_cluster else listed[""])
    for name, steps in {} if as_json else nodes.items():
        print_heading(name)
        width = max(len(step.migration.name) for step in steps)
        for step in steps:
            out.print(_line(step, width), soft_wrap=True)
    if any(step.state in ("edited", "failed") for steps in nodes.values() for step in steps):
        sys.exit(1)


@migrate.command("new")
@click.argument("name")
@click.option("--view", is_flag=True, help="A count table, the view that feeds it, and its check.")
@click.option("--serving", is_flag=True, help="A serving table, and the SELECT that makes its rows.")
@click.pass_obj
def migrate_new(settings: Settings, name: str, view: bool, serving: bool) -> None:
    """Write a draft of the next file of migrations/.

    \b
    Example: alsobought migrate new item_days --view
             alsobought migrate new viewed_together --serving
    """
    from alsobought.migrations.draft import draft

    if view and serving:
        raise click.UsageError("a table is either counted by a view or made from counts: give --view or --serving")
    for path in draft(own_project(settings), name, view=view, serving=serving):
        out.print(escaped(str(path)), soft_wrap=True)


@migrate.command("schema")
@click.option("--check", is_flag=True, help="Write nothing; exit status 1 if a file is out of date.")
@click.pass_obj
def migrate_schema(settings: Settings, check: bool) -> None:
    """Write sql/schema/, the schema that the migrations add up to, from a replay in memory.

    \b
    Example: alsobought migrate schema --check
    """
    from alsobought.migrations.runner import replayed_schema
    from alsobought.migrations.schema import differing, write

    folder = (settings.home_folder if check else own_project(settings)) / "sql" / "schema"
    expected = replayed_schema(settings)
    changed = differing(folder, expected) if check else write(folder, expected)
    for name in changed:
        out.print(f"sql/schema/{name}" + (" differs from the migrations" if check else ""))
    if check and changed:
        raise Unusable(f"{len(changed)} files of sql/schema/ are out of date", "Run `alsobought migrate schema`")
    if not changed:
        out.print("sql/schema/ is up to date.")


def _show_plan(settings: Settings) -> None:
    from alsobought.storage.topology import each_shard

    planned = sum(_show_plan_of(name, one) for name, one in each_shard(settings))
    click.echo(f"-- {planned} to apply" if planned else "-- Nothing to do: every migration is applied.")


def _show_plan_of(name: str, settings: Settings) -> int:
    from alsobought.migrations import runner
    from alsobought.storage.topology import replicas_of

    with _existing_warehouse(settings) as warehouse:
        pending = list(
            runner.plan(
                warehouse,
                settings.home_folder / "migrations",
                settings.database,
                replicated=bool(replicas_of(settings)),
            )
        )
    if name and pending:
        click.echo(f"-- {name}\n")
    for planned in pending:
        click.echo(f"-- {planned.migration.file}\n" + (f"-- Note: {planned.note}.\n" if planned.note else ""), nl=False)
        for statement in planned.statements:
            click.echo(f"{statement}\n;")
        click.echo()
    return len(pending)


@contextmanager
def _existing_warehouse(settings: Settings) -> Iterator[Warehouse | None]:
    """The warehouse, or None if it does not exist: a plan must not create it."""
    from alsobought.service.ipc_client import reach_warehouse
    from alsobought.storage.folder_lock import folder_of

    folder = folder_of(settings.warehouse_dsn)
    if folder and not folder.exists():
        yield None
        return
    warehouse = reach_warehouse(settings, create=False, must_exist=False)
    try:
        yield warehouse
    finally:
        warehouse.close()


def _fields(step: Step) -> dict[str, object]:
    entry = step.entry
    applied = entry if entry and entry.state == "applied" else None
    return {
        "version": step.migration.version,
        "name": step.migration.name,
        "state": step.state,
        "applied_at": applied.applied_at if applied else None,
        "seconds": applied.seconds if applied else None,
        "error": entry.error if entry else "",
    }


def _line(step: Step, width: int) -> str:
    colour, entry = COLOURS[step.state], step.entry
    state = f"[{colour}]{step.state:8}[/]"
    if entry is None:
        return f"{state} {step.migration.name}"
    seconds = "" if entry.seconds is None else f" in {entry.seconds:.3f} s"
    error = escaped(f": {entry.error}") if entry.error else ""
    return f"{state} {step.migration.name:{width}}  {entry.applied_at}{seconds}{error}"
