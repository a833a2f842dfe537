"""What recommendations led to in a period, from the pipes of metrics: totals, surfaces, days, faults, and what is missing.

The pipes are those of the project, so that a shop may define a metric otherwise and see it in its report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Row = Mapping[str, Any]
AskPipe = Callable[[str, Mapping[str, str]], Sequence[Row]]
"""The rows of a pipe for these parameters."""

BARS = "▁▂▃▄▅▆▇█"
BY = ("surface", "pipe", "version", "variant", "position", "segment")
MAX_FAULTY = 0.01  # share of events with a recommendation_id that may be at fault without a word about it


@dataclass(frozen=True)
class RecommendationReport:
    """`total` is None if nothing was touched or sold. `missing` are sentences: what is not sent, and what to do."""

    since: datetime
    until: datetime
    by: str
    total: Row | None
    parts: Sequence[Row]
    days: Sequence[Row]
    coverage: Mapping[str, Row]
    faults: Sequence[Row]
    missing: Sequence[str]


def recommendation_report(ask: AskPipe, since: datetime, until: datetime, by: str) -> RecommendationReport:
    """Raises the errors of the pipes."""
    period = {"since": since.isoformat(), "until": until.isoformat()}
    metrics = "recommendation_metrics"
    total = next(iter(ask(metrics, {**period, "by": "total"})), None)
    parts = ask(metrics, {**period, "by": by})
    days = ask(metrics, {**period, "by": "day", "limit": "1000"})
    has_coverage = by not in ("position", "segment")
    coverage = ask("recommendation_coverage", {**period, "by": by}) if has_coverage else []
    faults = ask("recommendation_faults", period)
    return RecommendationReport(
        since,
        until,
        by,
        total,
        parts,
        days,
        {str(row["value"]): row for row in coverage},
        [row for row in faults if row["number"]],
        _missing(total, faults),
    )


def _missing(total: Row | None, faults: Sequence[Row]) -> list[str]:
    shares = {str(row["fault"]): float(row["share"]) for row in faults}
    numbers = {str(row["fault"]): int(row["number"]) for row in faults}
    if total is None or not (total["impressions"] or total["clicks"]):
        return [
            "No event brought back a recommendation_id. Send the recommendation_id of an answer with the events of the items it"
            " shows: docs/how-to/measure.md"
        ]
    sentences = []
    if not total["impressions"]:
        sentences.append(
            "No impressions are sent, so there are no rates. Send an event `impression` for each item that a user sees"
        )
    elif shares.get("without_impression", 0) > MAX_FAULTY:
        sentences.append(
            f"{numbers['without_impression']:,} items were clicked without an impression. Send the impression before the click"
        )
    if not total["clicks"]:
        sentences.append("No clicks are sent. Send `click` or `view` with the recommendation_id of the list")
    if shares.get("without_position", 0) > MAX_FAULTY:
        sentences.append(f"{numbers['without_position']:,} impressions have no position. Send `position`, from 1")
    if shares.get("forged", 0) > MAX_FAULTY:
        sentences.append(
            f"{numbers['forged']:,} events have an id that this service did not sign. Does every process have the same"
            " ALSOBOUGHT_TOKEN_SECRET?"
        )
    if shares.get("expired", 0) > MAX_FAULTY:
        sentences.append(
            f"{numbers['expired']:,} events came after their list had expired. Are pages or e-mails kept longer than"
            " ALSOBOUGHT_RECOMMENDATION_DAYS?"
        )
    if shares.get("unlisted", 0) > MAX_FAULTY:
        sentences.append(
            f"{numbers['unlisted']:,} items were not in the list of their recommendation_id. Does the page mix lists?"
        )
    return sentences


def sparkline(numbers: Sequence[float]) -> str:
    """A bar for each number, from 0 to the largest.

    >>> sparkline([0, 1, 2, 4])
    '▁▃▅█'
    """
    largest = max(numbers, default=0) or 1
    return "".join(BARS[round(number / largest * (len(BARS) - 1))] for number in numbers)


def share(number: float) -> str:
    """
    >>> share(0.0431)
    '4.3 %'
    """
    return f"{100 * number:.1f} %"


def percent(row: Row, name: str) -> str:
    """A rate with its interval.

    >>> percent({"r": 0.05, "r_low": 0.041, "r_high": 0.0612}, "r")
    '5.0 % (4.1 to 6.1)'
    """
    return f"{share(row[name])} ({100 * row[f'{name}_low']:.1f} to {100 * row[f'{name}_high']:.1f})"


def money(row: Row, name: str) -> str:
    """An amount with its interval, in the currency of the events.

    >>> money({"r": 1250.0, "r_low": 1000.5, "r_high": 1499.5}, "r")
    '1,250.00 (1,000.50 to 1,499.50)'
    """
    return f"{row[name]:,.2f} ({row[f'{name}_low']:,.2f} to {row[f'{name}_high']:,.2f})"


def totals(report: RecommendationReport) -> list[tuple[str, str]]:
    """Name and value of each total."""
    total = report.total
    if total is None:
        return []
    return [
        ("impressions", f"{total['impressions']:,}"),
        ("clicks", f"{total['clicks']:,}"),
        ("click-through rate", percent(total, "click_through_rate")),
        ("add-to-cart rate, of clicks", percent(total, "add_to_cart_rate")),
        ("conversion rate, of clicks", percent(total, "conversion_rate")),
        ("revenue after a click", f"{total['revenue']:,.2f}"),
        ("revenue after a view alone", f"{total['view_through_revenue']:,.2f}"),
        ("revenue per 1,000 impressions", money(total, "revenue_per_thousand")),
        ("revenue per session with lists", money(total, "revenue_per_session")),
        ("average order, with recommendations", f"{total['average_order_value']:,.2f}"),
        ("average order, without", f"{total['average_order_value_without']:,.2f}"),
        ("share of the shop's revenue", share(total["share_of_revenue"])),
    ]


COLUMNS = (
    "impressions",
    "click-through rate",
    "conversion rate",
    "revenue",
    "revenue per 1,000",
    "coverage",
    "seen before",
)


def cells(row: Row, report: RecommendationReport) -> list[str]:
    """What a table shows of a row, in the order of COLUMNS."""
    coverage = report.coverage.get(str(row["value"]))
    return [
        f"{row['impressions']:,}",
        percent(row, "click_through_rate"),
        percent(row, "conversion_rate"),
        f"{row['revenue']:,.2f}",
        money(row, "revenue_per_thousand"),
        share(coverage["coverage"]) if coverage else "",
        share(coverage["repeat_exposure"]) if coverage else "",
    ]


def trends(report: RecommendationReport) -> list[tuple[str, str, str]]:
    """Name, sparkline, and the range of what it shows by day."""
    shown = []
    for name, title in (
        ("impressions", "impressions"),
        ("click_through_rate", "click-through rate"),
        ("revenue", "revenue"),
    ):
        numbers = [float(row[name]) for row in report.days]
        form = share if name.endswith("rate") else "{:,.0f}".format
        if numbers:
            shown.append((title, sparkline(numbers), f"{form(min(numbers))} to {form(max(numbers))}"))
    return shown


def markdown(report: RecommendationReport) -> str:
    """The report as Markdown, for a pull request or a chat."""
    lines = [f"# Recommendations, {report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC", ""]
    lines += [f"* {sentence}." for sentence in report.missing] + ([""] if report.missing else [])
    if report.total:
        lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in totals(report)), ""]
    if report.parts:
        lines += [f"| {report.by} | {' | '.join(COLUMNS)} |", "|---|" + "---:|" * len(COLUMNS)]
        lines += [f"| {_escaped(row['value'])} | {' | '.join(cells(row, report))} |" for row in report.parts] + [""]
    lines += [f"* {title} by day: `{bars}` {span}" for title, bars, span in trends(report)]
    lines += [f"* {row['fault'].replace('_', ' ')}: {row['number']:,} ({share(row['share'])})" for row in report.faults]
    return "\n".join(lines).rstrip() + "\n\nIn brackets: 95 % intervals.\n"


def _escaped(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
