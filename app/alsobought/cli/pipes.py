"""`alsobought pipe …`: what pipes there are, what one is, what it answers and what that costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from alsobought.cli.cases import pipe_test
from alsobought.cli.diff import diff
from alsobought.cli.files import pipe_check, pipe_fmt, pipe_new
from alsobought.cli.functions import pipe_functions
from alsobought.console import escaped, out, print_json
from alsobought.errors import Unusable
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.serving.answers import Answer
    from alsobought.serving.explain import TableRead
    from alsobought.storage.warehouse import Warehouse


@click.group()
def pipe() -> None:
    """Pipes: list, show, run, explain, check, test, lay out and begin them, and the functions they may call.

    \b
    Example: alsobought pipe run also_bought item_id=green-tea
    """


for command in (diff, pipe_check, pipe_fmt, pipe_functions, pipe_new, pipe_test):
    pipe.add_command(command)


@pipe.command("ls")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def pipe_ls(settings: Settings, as_json: bool) -> None:
    """Every pipe with its sentence and what it takes; `pipe check` says whether it answers.

    \b
    Example: alsobought pipe ls
    """
    from alsobought.cli.show import listed

    folder = settings.home_folder / "pipes"
    rows = listed(folder)
    if as_json:
        print_json(rows)
        return
    if not rows:
        out.print(f"no pipes in {escaped(str(folder))}; `alsobought pipe new NAME` makes one")
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for row in rows:
        asks = " ".join(row["parameters"])
        told = f"[red]{escaped(row['fault'])}[/]" if row["fault"] else escaped(row["sentence"])
        table.add_row(f"[bold]{row['pipe']}[/]", told + (f" [dim]{escaped(asks)}[/]" if asks else ""))
    out.print(table)


@pipe.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("--sql", "as_sql", is_flag=True, help="The SQL with all parameters given, and nothing else.")
@click.pass_obj
def pipe_show(settings: Settings, name: str, as_json: bool, as_sql: bool) -> None:
    """What a pipe takes, answers and reads.

    Its parameters, its columns with the columns of tables that feed them, its macros and who shares them.

    \b
    Example: alsobought pipe show also_bought
    """
    from alsobought.authoring.pipe_files import checking
    from alsobought.cli.show import facts, printed

    with checking(settings) as (library, warehouse):
        found = library[name]
        if as_sql:
            click.echo(found.sql([parameter.name for parameter in found.parameters]))
            return
        told = facts(settings, library, warehouse, found)
    if as_json:
        print_json(told)
    else:
        printed(told)


FORMATS = ["table", "json", "ndjson", "csv"]


@pipe.command("run")
@click.argument("name")
@click.argument("parameters", nargs=-1)
@click.option("--format", "fmt", type=click.Choice(FORMATS), help="Else a table on a terminal, JSON in a pipe.")
@click.pass_obj
def pipe_run(settings: Settings, name: str, parameters: tuple[str, ...], fmt: str | None) -> None:
    """Ask a pipe a question.

    Repeat a parameter to give several values.

    \b
    Example: alsobought pipe run also_bought item_id=green-tea limit=3
    """
    from alsobought.serving.answers import answer, open_library
    from alsobought.web.formats import to_csv, to_ndjson
    from alsobought.writer.submission import utc_now

    given = read_parameters(parameters)
    with _reached(settings) as warehouse:
        found = answer(open_library(settings, warehouse), warehouse, name, given, utc_now())
    chosen = fmt or ("table" if out.is_terminal else "json")
    if chosen == "table":
        _print_answer(found)
    elif chosen == "json":
        print_json(found.dicts())
    elif chosen == "ndjson":
        click.echo(to_ndjson(found.dicts()), nl=False)
    else:
        click.echo(to_csv([column.name for column in found.meta], found.dicts()), nl=False)


@pipe.command("explain")
@click.argument("name")
@click.argument("parameters", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def pipe_explain(settings: Settings, name: str, parameters: tuple[str, ...], as_json: bool) -> None:
    """What a question costs to answer.

    Rows, parts and granules of each table by the engine's plan, and what one run took.

    \b
    Example: alsobought pipe explain also_bought item_id=green-tea
    """
    from alsobought.serving.answers import open_library
    from alsobought.serving.explain import explain
    from alsobought.writer.submission import utc_now

    given = read_parameters(parameters)
    with _reached(settings) as warehouse:
        found = explain(warehouse, open_library(settings, warehouse)[name], given, utc_now())
    if as_json:
        print_json(found)
        return
    table = Table("table", box=None, pad_edge=False, header_style="dim")
    for title in ("rows", "parts", "granules"):
        table.add_column(title, justify="right")
    table.add_column("")
    for read in found.tables:
        numbers = [f"{part.read:,} of {part.of:,}" if part else "" for part in (read.rows, read.parts, read.granules)]
        table.add_row(read.table, *numbers, _how(read))
    out.print(table if found.tables else "no table is read")
    out.print(_cost(found.statistics))
    for read in found.tables:
        if read.whole:
            out.print(f"[yellow]{_why_whole(read.table, read.granules is None)}[/]", soft_wrap=True)


def _how(read: TableRead) -> str:
    if read.whole:
        return "[yellow]read whole[/]"
    keys = ", ".join(read.keys)
    if read.granules and read.granules.read == read.granules.of > 1:
        return f"looked for by {keys}, which left nothing out"
    return f"found by {keys}"


def _why_whole(table: str, dictionary: bool) -> str:
    if dictionary:
        return (
            f"{table} is read whole, row by row: dictGet('{table}', …) asks for single rows, and costs next to nothing."
        )
    return f"{table} is read whole: no condition is on the columns it is sorted by (sql/schema/{table}.sql, ORDER BY)."


def read_parameters(texts: Sequence[str]) -> dict[str, list[str]]:
    """`["item_id=tea", "limit=3"]` as what a request gives. Raises Unusable."""
    given: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise Unusable(f"{text!r} is not a parameter", "Write it as name=value")
        given.setdefault(key, []).append(value)
    return given


@contextmanager
def _reached(settings: Settings) -> Iterator[Warehouse]:
    from alsobought.service.ipc_client import reach_warehouse

    warehouse = reach_warehouse(settings, create=False)
    try:
        yield warehouse
    finally:
        warehouse.close()


def _print_answer(found: Answer) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in found.meta:
        table.add_column(escaped(column.name), justify="right" if _is_number(column.type) else "left")
    for row in found.dicts():
        table.add_row(*("[dim]null[/]" if value is None else escaped(str(value)) for value in row.values()))
    out.print(table)
    count = f"{len(found.data)} row{'s' * (len(found.data) != 1)}"
    out.print(f"[dim]{count}; {_cost(found.statistics)}[/]")
    if found.fallback:
        out.print(f"[yellow]{found.pipe.name} had no rows for all that was asked; {found.fallback} filled in.[/]")
    elif len(found.pipes) > 1:
        out.print(f"[yellow]{found.pipe.name} had too few rows; `source` says who filled in.[/]")


def _is_number(kind: str) -> bool:
    return kind.removeprefix("Nullable(").startswith(("UInt", "Int", "Float", "Decimal"))


def _cost(statistics: Any) -> str:
    size = statistics.bytes_read
    shown = (
        f"{size:,} bytes"
        if size < 10_000
        else f"{size / 1e3:,.0f} kB"
        if size < 10_000_000
        else f"{size / 1e6:,.0f} MB"
    )
    return f"{statistics.elapsed * 1000:.1f} ms, {statistics.rows_read:,} rows and {shown} read"
