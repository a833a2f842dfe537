"""Print an evaluation, or the results of gates, on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alsobought.evaluation.baskets import PURCHASE
from alsobought.evaluation.bootstrap import Difference, Interval
from alsobought.evaluation.gates import GateResult
from alsobought.evaluation.report import ABOVE, BELOW, Report, System, Verdict

TITLES = {"recall": "recall", "ndcg": "nDCG", "hit": "hit", "mrr": "MRR"}
VERDICTS = {ABOVE: ("significantly above", "green"), BELOW: ("significantly below", "red")}
MAX_WIDTH = 400  # of a table, in characters
LEVEL_VERDICT = "level with", ""


def print_report(report: Report, console: Console) -> None:
    console.print(
        Text.assemble(
            (f"{report.task}", "bold"),
            "" if report.event_type == PURCHASE else f" {report.event_type}",
            f" on {report.data}: trained before {report.train_before:%Y-%m-%d}, predicted {report.days} days;"
            f" {report.questions:,} queries of {report.users:,} users, lists of {report.at}",
        )
    )
    if report.parameters:
        parameters = " ".join(f"{name}={value}" for name, values in report.parameters.items() for value in values)
        console.print(f"parameters {parameters}", style="dim", markup=False)
    for name, line in report.learned.items():
        console.print(f"learned {name}: {line}", style="dim", markup=False)
    for table in (_quality(report), _differences(report), _lists(report), _slices(report)):
        if table.rows:
            console.print()
            _print_table(table, console)
    verdicts = [_verdict(report, system, name) for system in report.systems for name in system.verdicts]
    reasons = [Text(f"{name}: {reason}", "yellow") for name, reason in report.skipped.items()]
    reasons += [Text(f"{name} failed: {reason}", "red") for name, reason in report.failed.items()]
    for lines in (verdicts, reasons):
        if lines:
            console.print()
            console.print(*lines, sep="\n")
    note = f"In brackets: 95 % intervals from {report.resamples:,} resamples of users with all their queries."
    if any(system.against for system in report.systems):
        note += " Differences are on the same resamples; above: the share of resamples above 0."
    console.print(f"\n{note}", style="dim")


def print_gates(gates: Sequence[GateResult], console: Console) -> None:
    table = _table("", "recall", "floor", "nDCG", "floor")
    for gate in gates:
        state = ("ok    ", "green") if gate.ok else ("under ", "red")
        table.add_row(
            Text.assemble(state, gate.name),
            _interval(gate.recall),
            _fraction(gate.floor.recall),
            _interval(gate.ndcg),
            _fraction(gate.floor.ndcg),
        )
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 0, 0, 1), pad_edge=False)
    table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _print_table(table: Table, console: Console) -> None:
    """In its full width, where it is wider than a terminal, or none."""
    width = table.__rich_measure__(console, console.options.update(width=MAX_WIDTH)).maximum
    wide = Console(
        file=console.file, width=max(width, console.width), highlight=False, force_terminal=console.is_terminal
    )
    wide.print(table)


def _quality(report: Report) -> Table:
    table = _table("", *(f"{title}@{report.at}" for title in TITLES.values()))
    for system in report.systems:
        recall, ndcg, hit, mrr = (system.measures[name] for name in TITLES)
        table.add_row(_name(system), _interval(recall), _interval(ndcg), _fraction(hit.mean), _fraction(mrr.mean))
    return table


def _differences(report: Report) -> Table:
    """From every baseline, of the pipes; without any, of the baselines from the first."""
    table = _table("difference", "recall", "above", "nDCG", "above")
    pipes = [(system, name, each) for system in report.systems for name, each in system.differences.items()]
    baselines = [(system, report.against, system.against) for system in report.systems if system.against]
    for system, name, differences in pipes or baselines:
        both = differences["recall"], differences["ndcg"]
        cells = [cell for one in both for cell in (_difference(one), f"{one.above:.0%}")]
        table.add_row(Text.assemble(_name(system), (f" - {name}", "dim")), *cells)
    return table


def _verdict(report: Report, system: System, measure: str) -> Text:
    verdict: Verdict = system.verdicts[measure]
    words, colour = VERDICTS.get(verdict.verdict, LEVEL_VERDICT)
    measured = f": {TITLES[measure]}@{report.at} is "
    return Text.assemble(_name(system), measured, (words, colour), f" the best baseline, {verdict.best}")


def _slices(report: Report) -> Table:
    """A row for each slice, a column for each system."""
    names = [system.name for system in report.systems]
    table = _table(f"recall@{report.at}, events of {report.cold}", "queries", *names)
    for one in report.slices:
        events = f"{one.least}" if one.least == one.most else f"{one.least}-{one.most}" if one.most else f"{one.least}+"
        table.add_row(events, f"{one.queries:,}", *(_fraction(one.recall[name].mean) for name in names))
    return table


def _lists(report: Report) -> Table:
    table = _table(
        "", "cover", "novel", "divers", "lift", "miscal", "items", "empty", "filled", "p50", "p99 ms", "total s"
    )
    for system in report.systems:
        table.add_row(
            _name(system),
            f"{system.lists.coverage:.1%}",
            f"{system.lists.novelty:.2f}",
            f"{system.lists.diversity:.2f}",
            "" if system.profiles.popularity_lift is None else f"{system.profiles.popularity_lift:+.0%}",
            "" if system.profiles.miscalibration is None else f"{system.profiles.miscalibration:.2f}",
            f"{system.lists.length:.1f}",
            f"{system.lists.empty:.0%}",
            f"{system.filled:.0%}" if system.pipe else "",
            _milliseconds(system.p50_milliseconds),
            _milliseconds(system.p99_milliseconds),
            f"{system.seconds:.1f}",
        )
    return table


def _name(system: System) -> Text:
    return Text(system.name, "bold" if system.pipe else "")


def _interval(interval: Interval) -> Text:
    return Text.assemble(_fraction(interval.mean), (f" ({_fraction(interval.low)} {_fraction(interval.high)})", "dim"))


def _difference(difference: Difference) -> Text:
    """Green or red if the interval excludes 0."""
    colour = "green" if difference.low > 0 else "red" if difference.high < 0 else ""
    interval = f" ({_signed(difference.low)} {_signed(difference.high)})"
    return Text.assemble((_signed(difference.mean), colour), (interval, "dim"))


def _fraction(value: float) -> str:
    """Four digits, without a leading 0.

    >>> _fraction(0.14812), _fraction(1.0)
    ('.1481', '1.000')
    """
    return f"{value:.4f}".removeprefix("0")[:5]


def _signed(value: float) -> str:
    """
    >>> _signed(0.14812), _signed(-0.02)
    ('+.1481', '-.0200')
    """
    return f"{'-' if value < 0 else '+'}{_fraction(abs(value))}"


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"
