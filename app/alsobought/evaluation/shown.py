"""An evaluation on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alsobought.evaluation.bootstrap import Difference, Interval
from alsobought.evaluation.gates import Passed
from alsobought.evaluation.report import Report, System

TITLES = {"recall": "recall", "ndcg": "nDCG", "hit": "hit", "mrr": "MRR"}


def show(made: Report, console: Console) -> None:
    console.print(
        Text.assemble(
            (f"{made.task}", "bold"),
            f" on {made.data}: known before {made.train_before:%Y-%m-%d}, foretold {made.days} days;"
            f" {made.questions:,} questions of {made.people:,} people, lists of {made.at}",
        )
    )
    if made.parameters:
        told = " ".join(f"{name}={value}" for name, values in made.parameters.items() for value in values)
        console.print(f"asked with {told}", style="dim", markup=False)
    for name, line in made.learnt.items():
        console.print(f"learnt {name}: {line}", style="dim", markup=False)
    for table in (_quality(made), _differences(made), _lists(made)):
        if table.rows:
            console.print()
            console.print(table)
    told = f"In brackets: the middle 95 % of {made.resamples:,} draws of people with all their questions."
    if any(one.against for one in made.systems):
        told += f" Differences are from {made.against} on the same draws; above: in how many it is above 0."
    console.print(f"\n{told}", style="dim")


def show_gates(gates: Sequence[Passed], console: Console) -> None:
    table = _table("", "recall", "floor", "nDCG", "floor")
    for one in gates:
        state = ("ok    ", "green") if one.ok else ("under ", "red")
        table.add_row(
            Text.assemble(state, one.name),
            _interval(one.recall),
            _part(one.floor.recall),
            _interval(one.ndcg),
            _part(one.floor.ndcg),
        )
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _quality(made: Report) -> Table:
    table = _table("", *(f"{title}@{made.at}" for title in TITLES.values()))
    for one in made.systems:
        recall, ndcg, hit, mrr = (one.measures[name] for name in TITLES)
        table.add_row(_name(one), _interval(recall), _interval(ndcg), _part(hit.mean), _part(mrr.mean))
    return table


def _differences(made: Report) -> Table:
    table = _table("difference", "recall", "above", "nDCG", "above")
    for one in made.systems:
        if one.against:
            recall, ndcg = one.against["recall"], one.against["ndcg"]
            cells = [cell for found in (recall, ndcg) for cell in (_difference(found), f"{found.above:.0%}")]
            table.add_row(_name(one), *cells)
    return table


def _lists(made: Report) -> Table:
    table = _table("", "cover", "novel", "divers", "items", "empty", "filled", "p50", "p99 ms", "took s")
    for one in made.systems:
        table.add_row(
            _name(one),
            f"{one.lists.coverage:.1%}",
            f"{one.lists.novelty:.2f}",
            f"{one.lists.diversity:.2f}",
            f"{one.lists.length:.1f}",
            f"{one.lists.empty:.0%}",
            f"{one.filled:.0%}" if one.pipe else "",
            _milliseconds(one.p50_milliseconds),
            _milliseconds(one.p99_milliseconds),
            f"{one.seconds:.1f}",
        )
    return table


def _name(one: System) -> Text:
    return Text(one.name, "bold" if one.pipe else "")


def _interval(found: Interval) -> Text:
    return Text.assemble(_part(found.mean), (f" ({_part(found.low)} {_part(found.high)})", "dim"))


def _difference(found: Difference) -> Text:
    """Green or red where the interval leaves 0 out."""
    colour = "green" if found.low > 0 else "red" if found.high < 0 else ""
    return Text.assemble((_signed(found.mean), colour), (f" ({_signed(found.low)} {_signed(found.high)})", "dim"))


def _part(value: float) -> str:
    """Four digits, without the 0 that most of them begin with.

    >>> _part(0.14812), _part(1.0)
    ('.1481', '1.000')
    """
    return f"{value:.4f}".removeprefix("0")[:5]


def _signed(value: float) -> str:
    """
    >>> _signed(0.14812), _signed(-0.02)
    ('+.1481', '-.0200')
    """
    return f"{'-' if value < 0 else '+'}{_part(abs(value))}"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"
