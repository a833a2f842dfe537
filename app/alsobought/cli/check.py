"""`alsobought check`: does every count table say what the events say?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from alsobought.console import err, escaped, out, print_json, progress_bar
from alsobought.settings import Settings

if TYPE_CHECKING:
    from alsobought.counts.consistency import Checked, Told
    from alsobought.counts.recompute import Comparison, Difference


@click.command()
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this table; may be given again.")
@click.option("--sample", metavar="SHARE", help="Only such a share of users and of items, others each time: 1%, 0.5%.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
@click.pass_obj
def check(settings: Settings, tables: tuple[str, ...], sample: str | None, as_json: bool) -> None:
    """Compare every count table with a recompute from the events. Exit status 1 if any row is wrong.

    It works while events are stored: the tables are compared as they were at one moment. What a sample compares it compares
    exactly. Where events have expired, it says from when on a table could be compared.

    \b
    Example: alsobought check --sample 1%
             alsobought check --table co_baskets --table item_hours --json
    """
    from alsobought.counts.consistency import check as compare
    from alsobought.counts.consistency import sample_of
    from alsobought.counts.recompute import Slots
    from alsobought.service.ipc_client import reach_service

    slots = sample_of(sample) if sample else Slots()
    shop = reach_service(settings, create=False)
    try:
        with ExitStack() as stack:
            told = _bar(stack) if err.is_terminal else lambda *_: None
            folder = settings.home_folder / "sql" / "checks"
            found = compare(shop.warehouse, shop.do, folder, slots, only=tables, told=told)
    finally:
        shop.close()
    if as_json:
        print_json(found)
    else:
        _show(found)
    if found.wrong:
        sys.exit(1)


def _bar(stack: ExitStack) -> Told:
    """Shows how far it is, once it is known how far that will be."""
    steps: list[Callable[[int], None]] = []

    def told(done: int, of: int) -> None:
        if done:
            steps[0](1)
        else:
            steps.append(stack.enter_context(progress_bar(err, "Comparing", of, "steps")))

    return told


def _show(found: Checked) -> None:
    wide = max((len(one.table) for one in found.tables), default=0)
    for one in found.tables:
        colour, word = ("red", "wrong") if one.wrong else ("yellow", "-") if not one.compared else ("green", "ok")
        out.print(f"[{colour}]{word:5}[/] {one.table:{wide}}  {escaped(_said(one))}", soft_wrap=True)
        for row in one.worst:
            out.print(f"      {escaped(_difference(row))}", soft_wrap=True)
    rows = sum(one.rows for one in found.tables)
    of = f"{found.sample:.2%} of the keys, " if found.sample < 1 else ""
    out.print(f"{of}{rows:,} rows in {found.seconds:.1f} s")
    if found.wrong:
        out.print("What makes them right again, in this order:")
        for name in found.wrong:
            out.print(f"  alsobought rebuild {name}")


def _said(one: Comparison) -> str:
    said = f"{one.rows:,} rows" + (f", {one.wrong:,} of them wrong" if one.wrong else "")
    said = said if one.compared else "not compared"
    said += f", since {one.since:%Y-%m-%d %H:%M} UTC" if one.since else ""
    return said + (f": {one.note}" if one.note else "")


def _difference(row: Difference) -> str:
    return f"{_pairs(row.key)}: the table {_says(row.table)}, the events {_say(row.events)}"


def _says(values: dict[str, Any] | None) -> str:
    return f"says {_pairs(values)}" if values else "has no such row"


def _say(values: dict[str, Any] | None) -> str:
    return f"say {_pairs(values)}" if values else "give none"


def _pairs(values: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())
