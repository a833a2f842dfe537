"""Print a report on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alsobought.pipe_diff import report_text
from alsobought.pipe_diff.report import Example, RankedItem, Report

BAR_WIDTH = 24
CHANGE_COLOURS = ("green", "green", "yellow", "red")
MOVE_COLOURS = {"n": "green", "g": "red", "+": "cyan", "-": "yellow"}  # by the first letter of `moved`


def print_report(report: Report, console: Console) -> None:
    console.print(Text.assemble((report.pipe, "bold"), "  ", report_text.headline(report)))
    console.print(report_text.request_counts(report), style="dim")
    for note in report_text.notes(report):
        console.print(Text(note, "yellow"))
    if report.lists:
        console.print(_change_table(report))
    console.print(_measure_table(report))
    _print_estimate(report, console)
    for title, items in (("Only in the old text", report.only_old), ("Only in the new text", report.only_new)):
        if items:
            console.print(Text.assemble((f"{title}: ", "bold"), report_text.exclusive_items(items)))
    if report.examples:
        console.print(Text("\nLargest changes", "bold"))
    for example in report.examples:
        console.print()
        console.print(_title(example), no_wrap=True, overflow="ellipsis")
        console.print(_example_table(example, console.width))
    console.print()
    for missed in report.missed:
        console.print(Text.assemble(("fails ", "bold red"), report_text.plain_error(missed)))
    if not report.missed:
        console.print(Text("passes", "bold green"))


def _change_table(report: Report) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), pad_edge=False)
    table.add_column(min_width=24)
    table.add_column(justify="right", min_width=6)
    for (name, share), colour in zip(report_text.change_shares(report), CHANGE_COLOURS, strict=True):
        bar = "█" * round(share * BAR_WIDTH) or ("▏" if share else "")
        table.add_row(name, report_text.percent(share), Text(bar, colour))
    table.add_row()
    return table


def _measure_table(report: Report) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    table.add_column("", min_width=24, no_wrap=True)
    for name in ("old", "new", "change"):
        table.add_column(name, justify="right", min_width=10, no_wrap=True)
    for row in report_text.measure_rows(report):
        table.add_row(*row)
    return table


def _print_estimate(report: Report, console: Console) -> None:
    console.print()
    if rows := report_text.estimate_rows(report):
        console.print(Text(report_text.estimate_title(report), "bold"))
        table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
        table.add_column("", min_width=24, no_wrap=True)
        for name in ("old", "new"):
            table.add_column(name, justify="right", min_width=22, no_wrap=True)
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for note in report_text.estimate_notes(report):
        console.print(Text(note, "dim"))
    console.print()


def _title(example: Example) -> Text:
    times = f", made {example.times:,} times" if example.times > 1 else ""
    key = f", the list of {report_text.plain(example.key)}" if example.key else ""
    return Text.assemble(
        (f"overlap {example.rank_biased:.2f}{times}{key}: ", "dim"),
        (report_text.request(example.parameters), "cyan"),
    )


def _example_table(example: Example, width: int) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 1), pad_edge=False)
    half = min(42, (width - 22) // 2)
    table.add_column("", width=3, justify="right", style="dim")
    for name in ("old", "new"):
        table.add_column(name, width=half, no_wrap=True, overflow="ellipsis")
        table.add_column("", width=4, no_wrap=True)
    ranks = list(zip_longest(example.old, example.new))
    for rank, (old, new) in enumerate(ranks[: report_text.MAX_RANKS], start=1):
        table.add_row(str(rank), *_cells(old), *_cells(new))
    if len(ranks) > report_text.MAX_RANKS:
        table.add_row("", _more(example.old), "", _more(example.new), "")
    return table


def _cells(item: RankedItem | None) -> tuple[Text, Text]:
    if item is None:
        return Text(""), Text("")
    colour = MOVE_COLOURS.get(item.moved[:1], "")
    name_colour = colour if item.moved in ("new", "gone") else ""
    return Text(report_text.item_name(item), name_colour), Text(report_text.move(item), colour)


def _more(items: Sequence[RankedItem]) -> Text:
    more = len(items) - report_text.MAX_RANKS
    return Text(f"and {more:,} more" if more > 0 else "", "dim")
