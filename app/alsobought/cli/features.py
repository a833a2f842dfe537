"""`alsobought features`: show the features by which candidates are ranked when serving."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from alsobought.cli.warehouse import existing_warehouse
from alsobought.console import escaped, out, print_json
from alsobought.settings import Settings


@click.command()
@click.argument("id_", metavar="USER|ITEM")
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="Number of candidates.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def features(settings: Settings, id_: str, limit: int, as_json: bool) -> None:
    """Show the features and scores of the candidates of a user or an item, best first.

    Runs the pipes item_features and user_features, which compute the same features as also_bought_ranked and rank. An id
    that is both an item and a user is taken as the item.

    \b
    Example: alsobought features 1082185
             alsobought features ada --limit 3 --json
    """
    from alsobought.serving.answers import answer, open_library
    from alsobought.writer.submission import utc_now

    with existing_warehouse(settings) as warehouse:
        sql = "select count() from item_ids where item_key = cityHash64({id:String})"
        is_item = bool(warehouse.value(sql, {"id": id_}))
        pipe, parameter = ("item_features", "item_id") if is_item else ("user_features", "user_id")
        parameters = {parameter: [id_], "limit": [str(limit)]}
        result = answer(open_library(settings, warehouse), warehouse, pipe, parameters, utc_now())
    names = [column.name for column in result.meta]
    rows = [dict(zip(names, row, strict=True)) for row in result.data]
    if as_json:
        print_json({"pipe": pipe, parameter: id_, "candidates": rows})
    elif not rows:
        out.print(f"{escaped(id_)} has no candidates: it has no events, or nothing was sold recently")
    else:
        out.print(_table([name for name in names if name != parameter], rows))


def _table(names: list[str], rows: list[dict[str, Any]]) -> Table:
    """A row per feature and a column per candidate: features are many, and a terminal is narrow."""
    item = names[0]
    table = Table("", *(escaped(str(row[item])) for row in rows))
    for name in names[1:]:
        cells = [row[name] for row in rows]
        table.add_row(name, *(f"{cell:.3f}" if isinstance(cell, float) else escaped(str(cell)) for cell in cells))
    return table
