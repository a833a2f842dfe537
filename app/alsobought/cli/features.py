"""`alsobought features`: what a ranking knows of an item's companions or of a person's candidates, as it is served."""

from __future__ import annotations

from typing import Any

import click
from rich.table import Table

from alsobought.console import escaped, out, print_json
from alsobought.settings import Settings


@click.command()
@click.argument("who", metavar="USER|ITEM")
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="How many candidates.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_obj
def features(settings: Settings, who: str, limit: int, as_json: bool) -> None:
    """Show the features by which candidates are ranked, the best candidate first, and their scores.

    They are the answers of the pipes item_features and user_features, which have the numbers that also_bought_ranked and rank use.
    An id that is both an item's and a person's is taken for the item's.

    \b
    Example: alsobought features 1082185
             alsobought features ada --limit 3 --json
    """
    from alsobought.service.ipc_client import reach_warehouse
    from alsobought.serving.answers import answer, open_library
    from alsobought.writer.submission import utc_now

    warehouse = reach_warehouse(settings, create=False)
    try:
        sql = "select count() from item_ids where item_key = cityHash64({id:String})"
        is_item = bool(warehouse.value(sql, {"id": who}))
        pipe, parameter = ("item_features", "item_id") if is_item else ("user_features", "user_id")
        asked = {parameter: [who], "limit": [str(limit)]}
        found = answer(open_library(settings, warehouse), warehouse, pipe, asked, utc_now())
    finally:
        warehouse.close()
    names = [column.name for column in found.meta]
    rows = [dict(zip(names, row, strict=True)) for row in found.data]
    if as_json:
        print_json({"pipe": pipe, parameter: who, "candidates": rows})
    elif not rows:
        out.print(f"{escaped(who)} has no candidates: nothing is known of it, or nothing was sold lately")
    else:
        out.print(_table([name for name in names if name != parameter], rows))


def _table(names: list[str], rows: list[dict[str, Any]]) -> Table:
    """A line for each feature and a column for each candidate: features are many, and a terminal is narrow."""
    item = names[0]
    table = Table("", *(escaped(str(row[item])) for row in rows))
    for name in names[1:]:
        cells = [row[name] for row in rows]
        table.add_row(name, *(f"{cell:.3f}" if isinstance(cell, float) else escaped(str(cell)) for cell in cells))
    return table
