"""`alsobought load`: load files of events or items into the warehouse."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alsobought.console import err, escaped, out, progress_bar
from alsobought.errors import Unusable
from alsobought.events import STANDARD_TYPES, Rules
from alsobought.loading.cells import EPOCHS
from alsobought.loading.files import FORMATS, STDIN, Layout, Rows, display_name, open_rows
from alsobought.loading.full_feed import DEFAULT_MAX_REMOVED, FullFeed
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.rejects import Rejects
from alsobought.settings import Settings, extra_event_types
from alsobought.writer.submission import utc_now

if TYPE_CHECKING:
    from alsobought.loading.loader import LoadTask
    from alsobought.loading.submitter import Report

MAX_KINDS = 20


def _pairs(ctx: click.Context, option: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:  # noqa: ARG001
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text!r} is not of the form name=value, such as user_id=customer_id")
        if name in pairs:
            raise click.BadParameter(f"{name} is given twice")
        pairs[name] = value
    return pairs


def _delimiter(ctx: click.Context, option: click.Parameter, text: str) -> str:  # noqa: ARG001
    delimiter = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(delimiter) > 1 or delimiter in ('"', "\n", "\r"):
        raise click.BadParameter(f"{text!r} is not a single character, such as ; or tab")
    return delimiter


@click.command()
@click.argument("kind", type=click.Choice(["events", "items"]))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False, allow_dash=True))
@click.option("--format", type=click.Choice(FORMATS), default=None, help="Format, if the file name does not end in it.")
@click.option("--delimiter", default="", callback=_delimiter, help="Separator of CSV cells, for example ; or tab.")
@click.option(
    "--map", "mapped", multiple=True, callback=_pairs, metavar="FIELD=COLUMN", help="Read this field from this column."
)
@click.option(
    "--set", "constants", multiple=True, callback=_pairs, metavar="FIELD=VALUE", help="Set this field in every row."
)
@click.option("--drop", multiple=True, metavar="COLUMN", help="Ignore this column.")
@click.option("--keep-rest", is_flag=True, help="Keep other columns under properties (of items: attributes).")
@click.option("--epoch", type=click.Choice(list(EPOCHS)), help="Timestamps are seconds or milliseconds since 1970.")
@click.option("--source", default="", help="A name for standard input, so that an interrupted load can resume.")
@click.option("--rejected", type=click.Path(path_type=Path, dir_okay=False), help="Write rejected rows to this file.")
@click.option("--replace", is_flag=True, help="Clear the fields of an item that its row does not have.")
@click.option(
    "--replace-all",
    is_flag=True,
    help="The files are the whole catalogue: take off sale what is not in them; as --replace.",
)
@click.option(
    "--max-removed",
    type=click.IntRange(0, 100),
    default=DEFAULT_MAX_REMOVED,
    show_default=True,
    metavar="PERCENT",
    help="With --replace-all: take nothing off sale if more of the catalogue than this is missing.",
)
@click.option("--dry-run", is_flag=True, help="Read and check everything, store nothing.")
@click.option("--force", is_flag=True, help="Load even if most of the first 1,000 rows are rejected.")
@click.pass_obj
def load(
    settings: Settings,
    kind: str,
    files: tuple[Path, ...],
    format: str | None,  # noqa: A002
    delimiter: str,
    mapped: dict[str, str],
    constants: dict[str, str],
    drop: tuple[str, ...],
    keep_rest: bool,
    epoch: str | None,
    source: str,
    rejected: Path | None,
    replace: bool,
    replace_all: bool,
    max_removed: int,
    dry_run: bool,
    force: bool,
) -> None:
    """Load files of events or items.

    Formats are NDJSON, a JSON array, CSV, TSV and Parquet, also gzipped; - is standard input. A JSON
    array is read into memory. An interrupted load resumes when it is run again, and a file of events
    counts once however often it is loaded. Rejected rows are printed with their number and written to
    NAME.rejected.ndjson in the current folder; all others are stored. Rows count from 1, below the
    header. An empty CSV cell means that the field is not given. An item keeps the fields that its row
    does not have, unless --replace or --replace-all clears them.

    Exit status 0 if every row was stored, 1 if some were rejected or something failed.

    \b
    Example: alsobought load events 2026-01.ndjson.gz 2026-02.parquet
             alsobought load events orders.csv --set event_type=purchase --map user_id=customer --map item_id=sku
             zcat log.gz | alsobought load events - --format csv --epoch ms --source log
             alsobought load items products.csv --keep-rest --dry-run
             alsobought load items stock.csv --map stock=on_hand
             alsobought load items nightly.ndjson.gz --replace-all --max-removed 5
    """
    from alsobought.loading.loader import LoadTask

    columns = ColumnMapping(mapped, constants, frozenset(drop), keep_rest, epoch or "")
    _check_options(files, source, rejected)
    if (replace or replace_all) and kind != "items":
        raise Unusable(f"--replace{'-all' if replace_all else ''} is for items", "Leave it out: events are only added")
    feed = FullFeed(max_removed / 100) if replace_all else None
    tasks = [
        LoadTask(
            kind,
            file,
            Layout(format or "", delimiter),
            columns,
            source,
            rejected or _rejected_path(file),
            replace=replace or replace_all,
            feed=feed,
        )
        for file in files
    ]
    _load_all(settings, tasks, dry_run=dry_run, force=force, keep_rejects=not dry_run or rejected is not None)


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


def _load_all(settings: Settings, tasks: list[LoadTask], *, dry_run: bool, force: bool, keep_rejects: bool) -> None:
    from alsobought.loading import loader
    from alsobought.loading.preflight import check_sample
    from alsobought.pipes.placeholder_file import placeholders_of
    from alsobought.service.ipc_client import reach_service
    from alsobought.service.maintenance import finish_serving_tables

    types = frozenset(STANDARD_TYPES).union(extra_event_types(settings))
    rules = Rules(utc_now(), types, settings.max_event_bytes, placeholders_of(settings.home_folder))
    rejected = 0
    with ExitStack() as stack:
        stdin_rows = None
        for task in tasks:  # check all files before any is loaded
            with ExitStack() as closing:
                rows = (stack if task.path == STDIN else closing).enter_context(open_rows(task.path, task.layout))
                check_sample(rows, task.kind, task.columns, rules, force=force or dry_run)
                stdin_rows = rows if task.path == STDIN else stdin_rows
        service = None
        feed = tasks[0].feed
        if not dry_run or feed:
            service = reach_service(settings)
            stack.callback(service.close)
        for task in tasks:
            open_already = stdin_rows if task.path == STDIN else None
            rejects = Rejects(task.rejected if keep_rejects else None)
            if service and not dry_run:
                report = loader.load_file(task, service.writer, rules, rejects, _progress_bar, open_already)
            else:
                report = loader.dry_run(task, rules, rejects, _progress_bar, open_already)
            _print_report(task, report, rejects, dry_run=dry_run)
            rejected += report.rejected
        if service and feed:
            out.print(feed.remove_others(service.writer, rejected, dry_run=dry_run), soft_wrap=True)
        if service and not dry_run:
            if tasks[0].kind == "items" and (events := service.do("add categories")):
                out.print(f"{events:,} events, stored before their items, got the categories of these")
            finish_serving_tables(service.do, partial(progress_bar, err))
    if rejected:
        sys.exit(1)


def _progress_bar(rows: Rows) -> AbstractContextManager[Callable[[int], object]]:
    return progress_bar(err, Path(rows.name).name, rows.total, rows.unit)


def _print_report(task: LoadTask, report: Report, rejects: Rejects, *, dry_run: bool) -> None:
    name = display_name(task.path)
    for row, problem in rejects.first:
        err.print(f"{name}:{row}: {escaped(problem)}", soft_wrap=True)
    if rejects.count > len(rejects.first):
        err.print(f"… and {rejects.count - len(rejects.first):,} more rows")
    for kind, count in rejects.kinds.most_common(MAX_KINDS) if rejects.count > 1 else ():
        err.print(f"{count:8,} times: {escaped(kind)}", soft_wrap=True)
    if rejects.path and rejects.count:
        err.print(f"Rejected rows are in {rejects.path}", soft_wrap=True)
    if report.already_loaded and report.rejected:
        err.print(f"{name} was loaded before; --dry-run lists its rejected rows", soft_wrap=True)
    text = f"{report.stored:,} {task.kind} stored, {report.duplicates:,} duplicates, {report.rejected:,} rejected"
    if dry_run:
        text = f"{report.stored:,} {task.kind} would be stored, {report.rejected:,} would be rejected"
    out.print(f"{name}: {text}", soft_wrap=True)
