"""`alsobought pipe run`: execute a pipe and print its rows."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click
from rich.table import Table

from alsobought.cli.parameters import parse_parameters
from alsobought.cli.query_cost import cost_line
from alsobought.cli.warehouse import existing_warehouse
from alsobought.console import escaped, out, print_json
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.serving.answer import Answer

FORMATS = ["table", "json", "ndjson", "csv"]


@click.command("run")
@click.argument("name")
@click.argument("parameters", nargs=-1)
@click.option("--format", "fmt", type=click.Choice(FORMATS), help="[default: table on a terminal, else json]")
@click.pass_obj
def pipe_run(settings: Settings, name: str, parameters: tuple[str, ...], fmt: str | None) -> None:
    """Run a pipe with parameters and print its rows.

    Repeat a parameter to pass several values. A table ends with the cursor of the next page.

    \b
    Example: alsobought pipe run also_bought item_id=green-tea limit=3
    """
    from alsobought.serving.answers import answer, open_library
    from alsobought.web.formats import to_csv, to_ndjson
    from alsobought.writer.submission import utc_now

    values = parse_parameters(parameters)
    with existing_warehouse(settings) as warehouse:
        result = answer(open_library(settings, warehouse), warehouse, name, values, utc_now())
    chosen = fmt or ("table" if out.is_terminal else "json")
    if chosen == "table":
        _print_table(result)
        if result.next:
            given = [argument for argument in parameters if not argument.startswith("cursor=")]
            click.echo(f"Next page: alsobought pipe run {shlex.join([name, *given, f'cursor={result.next}'])}")
    elif chosen == "json":
        print_json(result.dicts())
    elif chosen == "ndjson":
        click.echo(to_ndjson(result.dicts()), nl=False)
    else:
        click.echo(to_csv([column.name for column in result.meta], result.dicts()), nl=False)


def _print_table(result: Answer) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in result.meta:
        table.add_column(escaped(column.name), justify="right" if _is_number(column.type) else "left")
    for row in result.dicts():
        table.add_row(*("[dim]null[/]" if value is None else escaped(str(value)) for value in row.values()))
    out.print(table)
    count = f"{len(result.data)} row{'s' * (len(result.data) != 1)}"
    out.print(f"[dim]{count}; {cost_line(result.statistics)}[/]")
    if result.fallback:
        out.print(f"[yellow]{result.pipe.name} had no rows for any key; {result.fallback} filled in.[/]")
    elif len(result.pipes) > 1:
        out.print(f"[yellow]{result.pipe.name} had too few rows; column `source` names the pipe of each row.[/]")


def _is_number(column_type: str) -> bool:
    return column_type.removeprefix("Nullable(").startswith(("UInt", "Int", "Float", "Decimal"))
