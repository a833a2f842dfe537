"""`alsobought load`: load files of events, items or users into the warehouse."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alsobought.cli.audited import audited
from alsobought.cli.load_options import layout_and_columns, reading_options
from alsobought.console import err, escaped, out, progress_bar
from alsobought.errors import Unusable
from alsobought.events import Rules
from alsobought.loading.files import STDIN, Rows, display_name, open_rows
from alsobought.loading.full_feed import DEFAULT_MAX_REMOVED, FullFeed
from alsobought.loading.presets import Preset, as_command
from alsobought.loading.presets import flags as words_of
from alsobought.loading.preview import as_stored
from alsobought.loading.rejects import Rejects, flags_for_types
from alsobought.settings import Settings
from alsobought.writer.submission import utc_now

if TYPE_CHECKING:
    from alsobought.loading.loader import LoadTask
    from alsobought.loading.submitter import Report

MAX_KINDS = 20


@click.command()
@click.argument("kind", type=click.Choice(["events", "items", "users"]))
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, readable=False, allow_dash=True))
@reading_options
@click.option("--source", default="", help="A name for standard input, so that an interrupted load can resume.")
@click.option("--rejected", type=click.Path(path_type=Path, dir_okay=False), help="Write rejected rows to this file.")
@click.option("--replace", is_flag=True, help="Clear what a row of an item or a user does not have.")
@click.option(
    "--replace-all",
    is_flag=True,
    help="The files are the whole catalogue, or all users: remove what is not in them; as --replace.",
)
@click.option(
    "--max-removed",
    type=click.IntRange(0, 100),
    default=DEFAULT_MAX_REMOVED,
    show_default=True,
    metavar="PERCENT",
    help="With --replace-all: remove nothing if more of what is stored than this is missing.",
)
@click.option("--dry-run", is_flag=True, help="Read and check everything, print the first rows, store nothing.")
@click.option("--force", is_flag=True, help="Load even if most of the first 1,000 rows are rejected.")
@click.pass_context
def load(
    ctx: click.Context,
    /,
    kind: str,
    files: tuple[Path, ...],
    source: str,
    rejected: Path | None,
    replace: bool,
    replace_all: bool,
    max_removed: int,
    dry_run: bool,
    force: bool,
    show: bool,
    **flags: Any,
) -> None:
    """Load files of events, items or users.

    Formats are NDJSON, a JSON array, CSV, TSV and Parquet, also gzipped; - is standard input. A JSON
    array is read into memory. Presets such as shopify-orders are flags for the exports of shops and for
    public data sets. An interrupted load resumes when it is run again, and a file of events counts once
    however often it is loaded. Rejected rows are printed with their number and written to
    NAME.rejected.ndjson in the current folder; all others are stored. Rows count from 1, below the
    header. An empty CSV cell means that the field is not given; an event without its time is rejected.
    An item keeps the fields that its row does not have, unless --replace or --replace-all clears them.
    A user keeps attributes in the same way; columns that sql/user_attributes.csv lists are attributes,
    others need --map, --keep-rest or --drop.

    Exit status 0 if every row was stored, 1 if some were rejected or something failed.

    \b
    Example: alsobought load events 2026-01.ndjson.gz 2026-02.parquet
             alsobought load events orders.csv --set event_type=purchase --map user_id=customer --map item_id=sku
             alsobought load events orders_export.csv --format shopify-orders --dry-run
             alsobought load items preise.csv --decimal , --map item_id=Artikelnummer --map price=Preis --drop-rest
             zcat log.gz | alsobought load events - --format csv --epoch ms --source log
             alsobought load items products.csv --keep-rest --dry-run
             alsobought load items stock.csv --map stock=on_hand
             alsobought load items nightly.ndjson.gz --replace-all --max-removed 5
             alsobought load users kunden.csv --map user_id=Kundennummer --map region=Bundesland --drop-rest
    """
    from alsobought.loading.loader import LoadTask

    layout, columns, preset = layout_and_columns(kind, **flags)
    if show:
        out.print(as_command(words_of(kind, layout, columns)), soft_wrap=True, markup=False)
        return
    if not files:
        raise click.UsageError("Missing argument 'FILES...'.", ctx)
    _check_options(files, source, rejected)
    if (replace or replace_all) and kind == "events":
        flag = f"--replace{'-all' if replace_all else ''}"
        raise Unusable(f"{flag} is for items and users", "Leave it out: events are only added")
    feed = FullFeed(max_removed / 100, kind) if replace_all else None
    tasks = [
        LoadTask(
            kind,
            file,
            layout,
            columns,
            source,
            rejected or _rejected_path(file),
            replace=replace or replace_all,
            feed=feed,
        )
        for file in files
    ]
    keep_rejects = not dry_run or rejected is not None
    _load_all(ctx.obj, tasks, preset, dry_run=dry_run, force=force, keep_rejects=keep_rejects)


def _check_options(files: tuple[Path, ...], source: str, rejected: Path | None) -> None:
    if source and files != (STDIN,):
        raise Unusable("--source names standard input", "A file is identified by its contents: leave --source out")
    if rejected and len(files) > 1:
        raise Unusable("--rejected is for one file", "Load one at a time, or leave it out: each file then has its own")
    names = Counter(_rejected_path(file) for file in files)
    if repeated := [name for name, count in names.items() if count > 1]:
        raise Unusable(f"two files would write rejected rows to {repeated[0]}", "Load them one at a time")


def _rejected_path(file: Path) -> Path:
    return Path(f"{'stdin' if file == STDIN else file.name}.rejected.ndjson")


def _load_all(
    settings: Settings, tasks: list[LoadTask], preset: Preset | None, *, dry_run: bool, force: bool, keep_rejects: bool
) -> None:
    from alsobought.loading import loader
    from alsobought.pipes.intake_rules import intake_rules
    from alsobought.service.ipc_client import reach_service
    from alsobought.service.maintenance import finish_serving_tables

    rules = intake_rules(settings, utc_now())
    rejected = 0
    with ExitStack() as stack:
        tasks, stdin_rows = _checked(tasks, rules, preset, stack, force=force or dry_run)
        service = None
        feed = tasks[0].feed
        if not dry_run or feed:
            service = reach_service(settings)
            stack.callback(service.close)
        recorded: dict[str, int] = {}
        if service and not dry_run:
            detail = {"files": [display_name(task.path) for task in tasks], "replace": tasks[0].replace}
            recorded = stack.enter_context(audited(service.warehouse, "load", tasks[0].kind, **detail))
        for task in tasks:
            open_already = stdin_rows if task.path == STDIN else None
            rejects = Rejects(task.rejected if keep_rejects else None)
            if service and not dry_run:
                report = loader.load_file(task, service.writer, rules, rejects, _progress_bar, open_already)
            else:
                report = loader.dry_run(task, rules, rejects, _progress_bar, open_already)
            _print_report(task, report, rejects, dry_run=dry_run)
            rejected += report.rejected
            recorded["stored"] = recorded.get("stored", 0) + report.stored
            recorded["rejected"] = rejected
        if service and feed:
            out.print(feed.remove_others(service.writer, rejected, dry_run=dry_run), soft_wrap=True)
        if service and not dry_run:
            if tasks[0].kind == "items" and (events := service.do("add categories")):
                out.print(f"{events:,} events, stored before their items, got the categories of these")
            finish_serving_tables(service.do, partial(progress_bar, err))
    if rejected:
        sys.exit(1)


def _checked(
    tasks: list[LoadTask], rules: Rules, preset: Preset | None, stack: ExitStack, *, force: bool
) -> tuple[list[LoadTask], Rows | None]:
    """The tasks as they fit their files, all checked before any is loaded, and standard input, which stays open."""
    from alsobought.loading.preflight import check_sample

    fitting, notes = [], []
    stdin_rows = None
    for task in tasks:
        with ExitStack() as closing:
            try:
                rows = (stack if task.path == STDIN else closing).enter_context(open_rows(task.path, task.layout))
                columns = check_sample(rows, task.kind, task.columns, rules, force=force)
            except Unusable as error:
                if not preset or "has no column" not in error.message:
                    raise
                hint = preset.hint or f"{error.hint}; {preset.name} is for {preset.title}"
                raise Unusable(error.message, hint) from error
            fitting.append(replace(task, columns=columns))
            notes += [f"{rows.name}: {note}" for note in rows.notes]
            stdin_rows = rows if task.path == STDIN else stdin_rows
    for note in notes:
        err.print(escaped(note), soft_wrap=True)
    return fitting, stdin_rows


def _progress_bar(rows: Rows) -> AbstractContextManager[Callable[[int], object]]:
    return progress_bar(err, Path(rows.name).name, rows.total, rows.unit)


def _print_report(task: LoadTask, report: Report, rejects: Rejects, *, dry_run: bool) -> None:
    name = display_name(task.path)
    _print_rejects(name, rejects)
    if report.already_loaded and report.rejected:
        err.print(f"{name} was loaded before; --dry-run lists its rejected rows", soft_wrap=True)
    if 0 < report.without_order < report.purchases:
        text = f"{report.without_order:,} of {report.purchases:,} purchases have no order_id, and are in no basket"
        err.print(f"{name}: {text}; --fill-down takes that of the row above", soft_wrap=True)
    if report.negative:
        text = f"{report.negative:,} purchases have a negative quantity: they are refunds of earlier ones"
        err.print(f"{name}: {text}", soft_wrap=True)
    for first_row in report.first_rows:
        out.print(as_stored(first_row), soft_wrap=True, markup=False)
    text = f"{report.stored:,} {task.kind} stored, {report.duplicates:,} duplicates, {report.rejected:,} rejected"
    if dry_run:
        text = f"{report.stored:,} {task.kind} would be stored, {report.rejected:,} would be rejected"
    if report.left_out:
        text += f", {report.left_out:,} left out"
    if report.skipped:
        text += f", {report.skipped:,} skipped"
    if report.dropped:
        text += f", {report.dropped:,} of known bots dropped"
    out.print(f"{name}: {text}", soft_wrap=True)


def _print_rejects(name: str, rejects: Rejects) -> None:
    for row, problem in rejects.first:
        err.print(f"{name}:{row}: {escaped(problem)}", soft_wrap=True)
    if rejects.count > len(rejects.first):
        err.print(f"… and {rejects.count - len(rejects.first):,} more rows")
    for kind, count in rejects.kinds.most_common(MAX_KINDS) if rejects.count > 1 else ():
        err.print(f"{count:8,} times: {escaped(kind)}", soft_wrap=True)
    if flags := flags_for_types([problem for _, problem in rejects.first]):
        err.print(f"Pass {escaped(flags)} if these are event types", soft_wrap=True)
    if rejects.path and rejects.count:
        err.print(f"Rejected rows are in {rejects.path}", soft_wrap=True)
