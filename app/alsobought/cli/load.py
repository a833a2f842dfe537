"""`alsobought load`: files of events or items into the warehouse."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alsobought.console import err, escaped, out, progress_bar
from alsobought.errors import Unusable
from alsobought.events import STANDARD_TYPES, Rules
from alsobought.loading.mapping import EPOCHS, Columns
from alsobought.loading.readers import FORMATS, STDIN, Layout, Rows, name_of, opened
from alsobought.loading.rejects import Rejects
from alsobought.settings import Settings, extra_event_types
from alsobought.writer.submission import utc_now

if TYPE_CHECKING:
    from alsobought.loading.loader import Report, Task


def _pairs(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:  # noqa: ARG001
    pairs: dict[str, str] = {}
    for text in given:
        ours, equals, value = text.partition("=")
        if not ours or not equals:
            raise click.BadParameter(f"{text!r} is not like user_id=customer_id")
        if ours in pairs:
            raise click.BadParameter(f"{ours} is given twice")
        pairs[ours] = value
    return pairs


def _delimiter(ctx: click.Context, option: click.Parameter, given: str) -> str:  # noqa: ARG001
    mark = {"tab": "\t", "\\t": "\t"}.get(given, given)
    if len(mark) > 1 or mark in ('"', "\n", "\r"):
        raise click.BadParameter(f"{given!r} is not one character like ; or tab")
    return mark


@click.command()
@click.argument("kind", type=click.Choice(["events", "items"]))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, readable=False, allow_dash=True))
@click.option("--format", type=click.Choice(FORMATS), default=None, help="Where the name does not tell it.")
@click.option("--delimiter", default="", callback=_delimiter, help="Between the cells of CSV, for example ; or tab.")
@click.option("--map", "mapped", multiple=True, callback=_pairs, metavar="OURS=THEIRS", help="A field from a column.")
@click.option("--set", "constants", multiple=True, callback=_pairs, metavar="OURS=VALUE", help="A field of every row.")
@click.option("--drop", multiple=True, metavar="THEIRS", help="Leave a column out.")
@click.option("--keep-rest", is_flag=True, help="Keep other columns under properties (of items: attributes).")
@click.option("--epoch", type=click.Choice(list(EPOCHS)), help="Timestamps are seconds or milliseconds since 1970.")
@click.option("--source", default="", help="A name for standard input, by which a load that broke off goes on.")
@click.option("--rejected", type=click.Path(path_type=Path, dir_okay=False), help="Where refused rows are kept.")
@click.option("--dry-run", is_flag=True, help="Read and check everything, store nothing.")
@click.option("--force", is_flag=True, help="Go on although most of the first 1,000 rows are refused.")
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
    dry_run: bool,
    force: bool,
) -> None:
    """Load files of events or items: NDJSON, a JSON array, CSV, TSV or Parquet, also gzipped; - is standard input.

    A load that broke off goes on where it was, and a file of events counts once however often it is loaded. Refused rows
    are told with their number and kept in NAME.rejected.ndjson in the current folder; all others are stored. Rows count
    from 1, below the header. Empty cells of CSV mean "not given". A JSON array is read whole into memory.

    Exit status 0 if every row was stored, 1 if some were refused or something failed.

    \b
    Example: alsobought load events 2026-01.ndjson.gz 2026-02.parquet
             alsobought load events orders.csv --set event_type=purchase --map user_id=customer --map item_id=sku
             zcat log.gz | alsobought load events - --format csv --epoch ms --source log
             alsobought load items products.csv --keep-rest --dry-run
    """
    from alsobought.loading.loader import Task

    columns = Columns(mapped, constants, frozenset(drop), keep_rest, epoch or "")
    _refuse_what_does_not_fit(files, source, rejected)
    tasks = [
        Task(kind, file, Layout(format or "", delimiter), columns, source, rejected or _beside(file)) for file in files
    ]
    _load_all(settings, tasks, dry_run=dry_run, force=force, keep=not dry_run or rejected is not None)


def _refuse_what_does_not_fit(files: tuple[Path, ...], source: str, rejected: Path | None) -> None:
    if source and files != (STDIN,):
        raise Unusable("--source names standard input", "A file is known by its contents: leave --source out")
    if rejected and len(files) > 1:
        raise Unusable("--rejected is for one file", "Load one at a time, or leave it out: each file then has its own")
    names = Counter(_beside(file) for file in files)
    if twice := [name for name, times in names.items() if times > 1]:
        raise Unusable(f"two files would keep refused rows in {twice[0]}", "Load them one at a time")


def _beside(file: Path) -> Path:
    return Path(f"{'stdin' if file == STDIN else file.name}.rejected.ndjson")


def _load_all(settings: Settings, tasks: list[Task], *, dry_run: bool, force: bool, keep: bool) -> None:
    from alsobought.loading.loader import judge, load_file, try_file
    from alsobought.service.ipc_client import reach_service

    types = frozenset(STANDARD_TYPES).union(extra_event_types(settings))
    rules = Rules(utc_now(), types, settings.max_event_bytes)
    refused = 0
    with ExitStack() as stack:
        piped = None
        for task in tasks:  # all of them before the first is loaded
            with ExitStack() as closing:
                rows = (stack if task.path == STDIN else closing).enter_context(opened(task.path, task.layout))
                judge(rows, task, rules, force=force or dry_run)
                piped = rows if task.path == STDIN else piped
        shop = None
        if not dry_run:
            shop = reach_service(settings)
            stack.callback(shop.close)
        for task in tasks:
            rows_at_hand = piped if task.path == STDIN else None
            rejects = Rejects(task.rejected if keep else None)
            if shop:
                report = load_file(task, shop.writer, rules, rejects, _bar, rows_at_hand)
            else:
                report = try_file(task, rules, rejects, _bar, rows_at_hand)
            _tell(task, report, rejects, dry_run=dry_run)
            refused += report.refused
    if refused:
        sys.exit(1)


def _bar(rows: Rows) -> AbstractContextManager[Callable[[int], object]]:
    return progress_bar(err, Path(rows.name).name, rows.total, rows.unit)


def _tell(task: Task, report: Report, rejects: Rejects, *, dry_run: bool) -> None:
    name = name_of(task.path)
    for row, problem in rejects.first:
        err.print(f"{name}:{row}: {escaped(problem)}", soft_wrap=True)
    if rejects.count > len(rejects.first):
        err.print(f"… and {rejects.count - len(rejects.first):,} more rows")
    for kind, times in rejects.kinds.most_common(20) if rejects.count > 1 else ():
        err.print(f"{times:8,} times: {escaped(kind)}", soft_wrap=True)
    if rejects.path and rejects.count:
        err.print(f"Refused rows are kept in {rejects.path}", soft_wrap=True)
    if report.again and report.refused:
        err.print(f"{name} was loaded before; --dry-run shows again what was refused", soft_wrap=True)
    told = f"{report.stored:,} {task.kind} stored, {report.repeats:,} known already, {report.refused:,} refused"
    if dry_run:
        told = f"{report.stored:,} {task.kind} would be stored, {report.refused:,} would be refused"
    out.print(f"{name}: {told}", soft_wrap=True)
