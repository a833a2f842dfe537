"""`alsobought pipe explain`: show which rows a request reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.table import Table

from alsobought.cli.parameters import parse_parameters
from alsobought.cli.query_cost import cost_line
from alsobought.cli.warehouse import existing_warehouse
from alsobought.console import out, print_json
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.serving.explain import TableRead


@click.command("explain")
@click.argument("name")
@click.argument("parameters", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def pipe_explain(settings: Settings, name: str, parameters: tuple[str, ...], as_json: bool) -> None:
    """Show what a request costs: rows, parts and granules of each table by the engine's plan, and the time of one run.

    \b
    Example: alsobought pipe explain also_bought item_id=green-tea
    """
    from alsobought.serving.answers import open_library
    from alsobought.serving.explain import explain
    from alsobought.writer.submission import utc_now

    values = parse_parameters(parameters)
    with existing_warehouse(settings) as warehouse:
        plan = explain(warehouse, open_library(settings, warehouse)[name], values, utc_now())
    if as_json:
        print_json(plan)
        return
    table = Table("table", box=None, pad_edge=False, header_style="dim")
    for title in ("rows", "parts", "granules"):
        table.add_column(title, justify="right")
    table.add_column("")
    for read in plan.tables:
        numbers = [f"{part.read:,} of {part.of:,}" if part else "" for part in (read.rows, read.parts, read.granules)]
        table.add_row(read.table, *numbers, _access(read))
    out.print(table if plan.tables else "no table is read")
    out.print(cost_line(plan.statistics))
    for read in plan.tables:
        if read.whole:
            out.print(f"[yellow]{_full_scan_reason(read.table, read.granules is None)}[/]", soft_wrap=True)


def _access(read: TableRead) -> str:
    if read.whole:
        return "[yellow]full scan[/]"
    keys = ", ".join(read.keys)
    if read.granules and read.granules.read == read.granules.of > 1:
        return f"searched by {keys}, which excluded nothing"
    return f"searched by {keys}"


def _full_scan_reason(table: str, dictionary: bool) -> str:
    if dictionary:
        return f"full scan of {table}: dictGet('{table}', …) reads single rows instead, and costs next to nothing."
    return f"full scan of {table}: no condition uses its sorting key (sql/schema/{table}.sql, ORDER BY)."
