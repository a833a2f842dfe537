"""`alsobought pipe test`: run the cases of pipes, and print or update what fails."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.columns import Columns
from rich.padding import Padding
from rich.table import Table

from alsobought.authoring.row_diff import equal_values
from alsobought.console import err, escaped, late_bar, out, print_json
from alsobought.errors import Unusable
from alsobought.project.package_files import own_project
from alsobought.project_files import read_file, reason
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.authoring.case_files import Case
    from alsobought.authoring.pipe_tests import Outcome

MAX_TABLE_ROWS = 12


@dataclass(frozen=True)
class CaseRun:
    """A case that was run: its file, its index there, and the outcome."""

    path: Path
    index: int
    case: Case
    outcome: Outcome

    @property
    def updatable(self) -> bool:
        """True if a new `answer:` would make it pass."""
        return self.outcome.rows_differ and self.outcome.rows is not None


@click.command("test")
@click.argument("names", nargs=-1)
@click.option("--update", is_flag=True, help="Overwrite `answer:` of failing cases with the actual rows.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def pipe_test(settings: Settings, names: tuple[str, ...], update: bool, as_json: bool) -> None:
    """Run the cases in tests/pipes/, on a warehouse in memory. Exit status 1 if any fails.

    --update changes only the `answer:` of failing cases: review it with `git diff`.

    \b
    Example: alsobought pipe test also_bought
    """
    from alsobought.authoring.case_files import read_cases

    folder = (own_project(settings) if update else settings.home_folder) / "tests" / "pipes"
    paths_by_name = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if missing := [name for name in names if name not in paths_by_name]:
        existing = ", ".join(paths_by_name) or "none"
        raise Unusable(f"no cases of {', '.join(missing)} in {folder}", f"There are {existing}")
    paths = [paths_by_name[name] for name in names or paths_by_name]
    texts = {path: _read(path) for path in paths}
    cases = {path: read_cases(path) for path in paths}
    started = time.monotonic()
    runs = list(_run(settings, cases, quiet=as_json))
    failed = [run for run in runs if run.outcome.problem]
    if as_json:
        print_json([_json_object(run) for run in runs])
    else:
        seconds = time.monotonic() - started
        out.print(f"[dim]{seconds:.1f} s:[/] {len(runs) - len(failed)} passed, {len(failed)} failed")
    if update and failed:
        failed = write_answers(failed, texts, err if as_json else out)
    if failed:
        sys.exit(1)


def _run(settings: Settings, cases_by_path: dict[Path, list[Case]], *, quiet: bool) -> Iterator[CaseRun]:
    from alsobought.authoring.pipe_tests import case_runner

    total = sum(map(len, cases_by_path.values()))
    bar = late_bar(err, "cases", total, "cases") if quiet else nullcontext(lambda _: None)
    with bar as advance, case_runner(settings) as runner:
        for path, cases in cases_by_path.items():
            for index, case in enumerate(cases):
                run = CaseRun(path, index, case, runner.outcome(path.stem, case))
                advance(1)
                if not quiet:
                    _print(run)
                yield run


def _json_object(run: CaseRun) -> dict[str, Any]:
    result = {
        "pipe": run.path.stem,
        "it": run.case.it,
        "ok": not run.outcome.problem,
        "problem": run.outcome.problem,
        "milliseconds": round(run.outcome.seconds * 1000),
    }
    return result | ({"expected": run.case.answer, "got": run.outcome.rows} if run.updatable else {})


def _print(run: CaseRun) -> None:
    mark = "[red]failed[/]" if run.outcome.problem else "[green]ok[/]"
    duration = f"[dim]({run.outcome.seconds * 1000:.0f} ms)[/]"
    out.print(f"{mark} {run.path.stem} {escaped(run.case.it)} {duration}", soft_wrap=True)
    if run.outcome.problem:
        out.print(f"   {escaped(run.outcome.problem)}", soft_wrap=True)
    if run.updatable:
        expected, actual = run.case.answer or [], run.outcome.rows or []
        names = list(dict.fromkeys(name for row in expected for name in row)) or list(actual[0] if actual else {})
        tables = [
            _table("expected", names, expected, actual, run.case),
            _table("got", names, actual, expected, run.case),
        ]
        out.print(Padding(Columns(tables, padding=(0, 4)), (0, 0, 0, 3)))


def _table(title: str, names: Sequence[str], rows: Sequence[Any], others: Sequence[Any], case: Case) -> Table:
    """The rows with these columns; in an ordered answer, values that differ from the other side are red."""
    table = Table(
        title=title,
        min_width=len("expected"),
        title_justify="left",
        title_style="dim",
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    for name in names:
        numeric = rows and all(isinstance(row.get(name), (int, float)) for row in rows)
        table.add_column(escaped(name), justify="right" if numeric else "left")
    for index, row in enumerate(rows[:MAX_TABLE_ROWS]):
        other = others[index] if index < len(others) else None
        table.add_row(*(_cell(row, other, name, case) for name in names))
    if len(rows) > MAX_TABLE_ROWS:
        table.add_row(f"[dim]and {len(rows) - MAX_TABLE_ROWS} more[/]")
    if not rows:
        table.add_row("[dim]no rows[/]")
    return table


def _cell(row: dict[str, Any], other: dict[str, Any] | None, name: str, case: Case) -> str:
    if name not in row:
        return "[dim]any[/]"
    text = escaped("null" if row[name] is None else str(row[name]))
    if not case.ordered or (other is not None and (name not in other or _equal(row[name], other[name], case))):
        return text
    return f"[red]{text}[/]"


def _equal(value: Any, other: Any, case: Case) -> bool:
    return equal_values(value, other, case.tolerance) or equal_values(other, value, case.tolerance)


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise Unusable(f"cannot read {path.name}: {reason(error)}") from error


def write_answers(failed: list[CaseRun], texts: Mapping[Path, bytes], console: Any) -> list[CaseRun]:
    """Updates the answers of failed cases, reports each file, and returns the runs that could not be updated.

    `texts` are the files as they were when their cases were read.
    """
    from alsobought.authoring.update_answers import commented_cases

    rejected = [(run, "the problem is not a difference of rows") for run in failed if not run.updatable]
    for path in dict.fromkeys(run.path for run in failed if run.updatable):
        runs = {run.index: run for run in failed if run.path == path and run.updatable}
        commented = commented_cases(texts[path].decode()) & set(runs)
        rejected += [(runs.pop(index), "its answer contains a comment: edit it by hand") for index in sorted(commented)]
        if runs and not _write_file(path, texts[path], runs, console):
            reason = f"{path.name} was changed while its cases ran: run it again"
            rejected += [(run, reason) for run in runs.values()]
    for run, reason in rejected:
        console.print(f"[red]not updated:[/] {run.path.stem} {escaped(run.case.it)}: {reason}", soft_wrap=True)
    return [run for run, _ in rejected]


def _write_file(path: Path, original: bytes, runs: Mapping[int, CaseRun], console: Any) -> bool:
    """Replaces the answers of these runs in their file; False if the file is no longer the original."""
    from alsobought.authoring.update_answers import new_answer, newly_empty, replace_answers
    from alsobought.pipes.source_file import replace_file

    answers = {index: new_answer(run.case, run.outcome.rows or []) for index, run in runs.items()}
    text = replace_answers(original.decode(), answers, path.name).encode()
    if _read(path) != original:
        return False
    try:
        replace_file(path.resolve(), text)
    except OSError as error:
        raise Unusable(f"cannot write {path.name}: {reason(error)}") from error
    console.print(f"[yellow]updated[/] {len(answers)} in {path.name}: review it with `git diff`", soft_wrap=True)
    for index in newly_empty({index: run.case for index, run in runs.items()}, answers):
        console.print(f"[bold red]EMPTY NOW:[/] {path.stem} {escaped(runs[index].case.it)}", soft_wrap=True)
        console.print("   it expected rows, and got none: does the pipe still answer?", soft_wrap=True)
    return True
