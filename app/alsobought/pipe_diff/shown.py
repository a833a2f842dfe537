"""A replay's report on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alsobought.pipe_diff import words
from alsobought.pipe_diff.report import Example, Place, Report

BAR = 24
COLOURS = ("green", "green", "yellow", "red")
MOVED = {"n": "green", "g": "red", "+": "cyan", "-": "yellow"}  # by the first letter of what happened


def show(made: Report, console: Console) -> None:
    console.print(Text.assemble((made.pipe, "bold"), "  ", words.headline(made)))
    console.print(words.asked(made), style="dim")
    for note in words.notes(made):
        console.print(Text(note, "yellow"))
    if made.lists:
        console.print(_kinds(made))
    console.print(_measures(made))
    for title, items in (("No longer shown", made.only_old), ("Shown only now", made.only_new)):
        if items:
            console.print(Text.assemble((f"{title}: ", "bold"), words.only(items)))
    if made.examples:
        console.print(Text("\nWhat changed most", "bold"))
    for one in made.examples:
        console.print()
        console.print(_title(one), no_wrap=True, overflow="ellipsis")
        console.print(_example(one, console.width))
    console.print()
    for missed in made.missed:
        console.print(Text.assemble(("fails ", "bold red"), words.plain_error(missed)))
    if not made.missed:
        console.print(Text("passes", "bold green"))


def _kinds(made: Report) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(min_width=24)
    table.add_column(justify="right", min_width=6)
    for (what, share), colour in zip(words.kinds(made), COLOURS, strict=True):
        table.add_row(what, words.percent(share), Text("█" * round(share * BAR) or ("▏" if share else ""), colour))
    table.add_row()
    return table


def _measures(made: Report) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    table.add_column("", min_width=24, no_wrap=True)
    for name in ("old", "new", "change"):
        table.add_column(name, justify="right", min_width=10, no_wrap=True)
    for row in words.rows(made):
        table.add_row(*row)
    return table


def _title(one: Example) -> Text:
    asked = f", asked {one.times:,} times" if one.times > 1 else ""
    of = f", the list of {words.plain(one.key)}" if one.key else ""
    return Text.assemble(
        (f"overlap {one.rank_biased:.2f}{asked}{of}: ", "dim"), (words.request(one.parameters), "cyan")
    )


def _example(one: Example, width: int) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    half = min(42, (width - 22) // 2)
    table.add_column("", width=3, justify="right", style="dim")
    for name in ("old", "new"):
        table.add_column(name, width=half, no_wrap=True, overflow="ellipsis")
        table.add_column("", width=4, no_wrap=True)
    both = list(zip_longest(one.old, one.new))
    for at, (old, new) in enumerate(both[: words.PLACES], start=1):
        table.add_row(str(at), *_cells(old), *_cells(new))
    if len(both) > words.PLACES:
        table.add_row("", _more(one.old), "", _more(one.new), "")
    return table


def _cells(one: Place | None) -> tuple[Text, Text]:
    if one is None:
        return Text(""), Text("")
    colour = MOVED.get(one.moved[:1], "")
    shown = colour if one.moved in ("new", "gone") else ""
    return Text(words.place(one), shown), Text(words.moved(one), colour)


def _more(places: Sequence[Place]) -> Text:
    more = len(places) - words.PLACES
    return Text(f"and {more:,} more" if more > 0 else "", "dim")
