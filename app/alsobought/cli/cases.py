"""`alsobought pipe test`: cases, run on a warehouse in memory, and their answers written anew."""

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

from alsobought.authoring.row_diff import same
from alsobought.console import err, escaped, late_bar, out, print_json
from alsobought.errors import Unusable
from alsobought.project.package_files import own_project
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.authoring.pipe_tests import Case, Outcome

SHOWN = 12  # rows of a table


@dataclass(frozen=True)
class Tried:
    path: Path
    number: int
    case: Case
    outcome: Outcome

    @property
    def updatable(self) -> bool:
        return self.outcome.differs and self.outcome.rows is not None


@click.command("test")
@click.argument("names", nargs=-1)
@click.option("--update", is_flag=True, help="Write the answers that came into the files, where rows are what differs.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def pipe_test(settings: Settings, names: tuple[str, ...], update: bool, as_json: bool) -> None:
    """Run the cases in tests/pipes/.

    On a warehouse in memory. Exit status 1 if any fails.

    --update changes the `answer:` of failing cases and nothing else: read `git diff` before you believe it.

    \b
    Example: alsobought pipe test also_bought
    """
    from alsobought.authoring.pipe_tests import cases_of

    folder = (own_project(settings) if update else settings.home_folder) / "tests" / "pipes"
    known = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if missing := [name for name in names if name not in known]:
        raise Unusable(f"no cases of {', '.join(missing)} in {folder}", f"There are {', '.join(known) or 'none'}")
    paths = [known[name] for name in names or known]
    texts = {path: _read(path) for path in paths}
    files = {path: cases_of(path) for path in paths}
    started = time.monotonic()
    tried = list(_tried(settings, files, quiet=as_json))
    failed = [one for one in tried if one.outcome.problem]
    if as_json:
        print_json([_told(one) for one in tried])
    else:
        seconds = time.monotonic() - started
        out.print(f"[dim]{seconds:.1f} s:[/] {len(tried) - len(failed)} passed, {len(failed)} failed")
    if update and failed:
        failed = write_answers(failed, texts, err if as_json else out)
    if failed:
        sys.exit(1)


def _tried(settings: Settings, files: dict[Path, list[Case]], *, quiet: bool) -> Iterator[Tried]:
    from alsobought.authoring.pipe_tests import bench

    total = sum(map(len, files.values()))
    bar = late_bar(err, "cases", total, "cases") if quiet else nullcontext(lambda _: None)
    with bar as done, bench(settings) as workbench:
        for path, cases in files.items():
            for number, case in enumerate(cases):
                one = Tried(path, number, case, workbench.outcome(path.stem, case))
                done(1)
                if not quiet:
                    _print(one)
                yield one


def _told(one: Tried) -> dict[str, Any]:
    told = {
        "pipe": one.path.stem,
        "it": one.case.it,
        "ok": not one.outcome.problem,
        "problem": one.outcome.problem,
        "milliseconds": round(one.outcome.seconds * 1000),
    }
    return told | ({"expected": one.case.answer, "got": one.outcome.rows} if one.updatable else {})


def _print(one: Tried) -> None:
    mark = "[red]failed[/]" if one.outcome.problem else "[green]ok[/]"
    took = f"[dim]({one.outcome.seconds * 1000:.0f} ms)[/]"
    out.print(f"{mark} {one.path.stem} {escaped(one.case.it)} {took}", soft_wrap=True)
    if one.outcome.problem:
        out.print(f"   {escaped(one.outcome.problem)}", soft_wrap=True)
    if one.updatable:
        wanted, got = one.case.answer or [], one.outcome.rows or []
        names = list(dict.fromkeys(name for row in wanted for name in row)) or list(got[0] if got else {})
        tables = [_table("expected", names, wanted, got, one), _table("got", names, got, wanted, one)]
        out.print(Padding(Columns(tables, padding=(0, 4)), (0, 0, 0, 3)))


def _table(title: str, names: Sequence[str], rows: Sequence[Any], others: Sequence[Any], one: Tried) -> Table:
    """Rows with these columns; in an ordered answer, what the other side has otherwise stands out."""
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
    for place, row in enumerate(rows[:SHOWN]):
        other = others[place] if place < len(others) else None
        table.add_row(*(_cell(row, other, name, one.case) for name in names))
    if len(rows) > SHOWN:
        table.add_row(f"[dim]and {len(rows) - SHOWN} more[/]")
    if not rows:
        table.add_row("[dim]no rows[/]")
    return table


def _cell(row: dict[str, Any], other: dict[str, Any] | None, name: str, case: Case) -> str:
    if name not in row:
        return "[dim]any[/]"
    text = escaped("null" if row[name] is None else str(row[name]))
    if not case.ordered or (other is not None and (name not in other or _alike(row[name], other[name], case))):
        return text
    return f"[red]{text}[/]"


def _alike(one: Any, other: Any, case: Case) -> bool:
    return same(one, other, case.tolerance) or same(other, one, case.tolerance)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"{path.name} cannot be read: {error.strerror}") from error


def write_answers(failed: list[Tried], texts: Mapping[Path, bytes], console: Any) -> list[Tried]:
    """Writes what can be written, tells of it, and returns the cases that fail still.

    `texts` are the files as their cases were read.
    """
    from alsobought.authoring.update_answers import answer_for, commented, emptied, updated
    from alsobought.pipes.drafts import replace_file

    still = [(one, "its rows are not what differs") for one in failed if not one.updatable]
    for path in dict.fromkeys(one.path for one in failed if one.updatable):
        text = texts[path].decode()
        ours = {one.number: one for one in failed if one.path == path and one.updatable}
        kept = commented(text) & set(ours)
        still += [(ours.pop(number), "there is a comment in its answer: write it by hand") for number in sorted(kept)]
        if not ours:
            continue
        answers = {number: answer_for(one.case, one.outcome.rows or []) for number, one in ours.items()}
        written = updated(text, answers, path.name).encode()
        if _read(path) != texts[path]:
            still += [(one, f"{path.name} was changed while its cases ran: run it again") for one in ours.values()]
            continue
        try:
            replace_file(path.resolve(), written)
        except OSError as error:
            raise Unusable(f"{path.name} cannot be written: {error.strerror}") from error
        console.print(f"[yellow]updated[/] {len(answers)} in {path.name}: look at `git diff`", soft_wrap=True)
        for number in emptied({n: one.case for n, one in ours.items()}, answers):
            console.print(f"[bold red]EMPTY NOW:[/] {path.stem} {escaped(ours[number].case.it)}", soft_wrap=True)
            console.print("   it expected rows, and none came: does the pipe still answer?", soft_wrap=True)
    for one, why in still:
        console.print(f"[red]not updated:[/] {one.path.stem} {escaped(one.case.it)}: {why}", soft_wrap=True)
    return [one for one, _ in still]
