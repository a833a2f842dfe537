"""Format the texts and numbers of a report, for the terminal and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from alsobought.console import byte_size
from alsobought.off_policy.evaluation import Estimate
from alsobought.pipe_diff.report import Item, RankedItem, Report, Spread

MAX_VALUE_LENGTH = 60
MAX_EXCLUSIVE_ITEMS = 8
MAX_RANKS = 10


def plain(text: str) -> str:
    """A value as one short line without control characters: requests contain untrusted input.

    >>> plain("green\\x1b[31m\\ntea")
    'green�[31m�tea'
    """
    line = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
    return line if len(line) <= MAX_VALUE_LENGTH else f"{line[: MAX_VALUE_LENGTH - 1]}…"


def percent(share: float) -> str:
    """A rounded percentage, but 0 % only for 0 and 100 % only for 1.

    >>> percent(0.0), percent(0.001), percent(0.42), percent(0.999)
    ('0 %', '< 1 %', '42 %', '> 99 %')
    """
    if 0 < share < 0.01 or 0.99 < share < 1:
        return "< 1 %" if share < 0.5 else "> 99 %"
    return f"{share:.0%}".replace("%", " %")


def seconds(value: float) -> str:
    return f"{value * 1000:,.1f} ms"


def number(value: float) -> str:
    return f"{value:,.0f}"


def request(parameters: dict[str, list[object]]) -> str:
    """`item_id=tea item_id=mug limit=3`"""
    pairs = [f"{name}={_value(value)}" for name, values in parameters.items() for value in values]
    return plain(" ".join(pairs)) or "no parameters"


def _value(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def item_name(item: RankedItem | Item) -> str:
    return plain(item.title or item.item)


def move(item: RankedItem) -> str:
    """`new`, `gone`, or the ranks it moved up or down."""
    if item.moved[:1] in ("+", "-"):
        return ("↑" if item.moved[0] == "+" else "↓") + item.moved[1:]
    return item.moved


def headline(report: Report) -> str:
    return f"{report.old.label} → {report.new.label}"


def request_counts(report: Report) -> str:
    distinct = f"{report.requests:,} request{'s' * (report.requests != 1)}"
    total = f", made {report.asked:,} times" if report.asked != report.requests else ""
    return f"{distinct}{total}, with the clock at {report.clock:%Y-%m-%d %H:%M} UTC."


def notes(report: Report) -> list[str]:
    """Facts that a reader of the numbers needs."""
    sentences = []
    if report.old.version and report.old.version == report.new.version:
        sentences.append("The text and the macros are the same on both sides.")
    for label, side in (("old", report.old), ("new", report.new)):
        for name, count in side.unknown.items():
            sentences.append(f"The {label} text has no parameter {name}: omitted from {count:,} requests.")
        if side.failed.requests:
            sentences.append(f"The {label} text fails for {side.failed.requests:,}: {plain_error(side.failed.first)}")
        if side.fallback_fault:
            sentences.append(f"The {label} fallback is broken and never answers: {plain_error(side.fallback_fault)}")
    if report.unsteady:
        sentences.append(
            f"{report.unsteady:,} requests were repeated, but the data changed every time: their lists may differ."
        )
    for name, column_type in report.columns.added.items():
        sentences.append(f"Column added: {name} {column_type}.")
    for name, column_type in report.columns.removed.items():
        sentences.append(f"Column removed: {name} {column_type}.")
    for name, (old, new) in report.columns.retyped.items():
        sentences.append(f"Column {name}: {old} is now {new}.")
    return sentences


def plain_error(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:400]


def change_shares(report: Report) -> list[tuple[str, float]]:
    """The share of answers with each kind of change."""
    if not report.lists:
        return []
    lists = report.lists
    return [
        ("the same answer", lists.same),
        ("same list, other values", lists.values),
        ("same items, other order", lists.order),
        ("other items", lists.items),
    ]


Row = tuple[str, str, str, str]


def measure_rows(report: Report) -> list[Row]:
    """Measure, old, new, change."""
    old, new = report.old, report.new
    rows: list[Row] = []
    if report.lists:
        rows.append(("overlap, rank-biased", "", "", f"{report.lists.rank_biased:.3f}"))
        rows.append(("overlap, Jaccard", "", "", f"{report.lists.jaccard:.3f}"))
        change = f"-{len(report.only_old)} +{len(report.only_new)}"
        rows.append(("different items", number(old.items), number(new.items), change))
        rows.append(("empty answers", percent(old.empty), percent(new.empty), ""))
        rows.append(("from a fallback", percent(old.fallback), percent(new.fallback), ""))
    rows.append(("failed", number(old.failed.requests), number(new.failed.requests), ""))
    for name, spread, format_value in (
        ("rows read", report.rows_read, number),
        ("bytes read", report.bytes_read, byte_size),
        ("time (noisy)", report.seconds, seconds),
    ):
        rows += _spread_rows(name, spread, format_value)
    return rows


def _spread_rows(name: str, spread: Spread | None, format_value: Callable[[float], str]) -> list[Row]:
    if not spread:
        return []
    return [
        (f"{name}, {label}", format_value(ratio.old), format_value(ratio.new), ratio.text)
        for label, ratio in (("median", spread.median), ("p95", spread.p95))
    ]


def exclusive_items(items: Sequence[Item], quote: Callable[[str], str] = str) -> str:
    """The first of them, and the number of the others."""
    more = f" and {len(items) - MAX_EXCLUSIVE_ITEMS:,} more" if len(items) > MAX_EXCLUSIVE_ITEMS else ""
    return ", ".join(f"{quote(item_name(item))} ({item.times:,})" for item in items[:MAX_EXCLUSIVE_ITEMS]) + more


Estimates = tuple[str, str, str]


def estimate_title(report: Report) -> str:
    estimated = report.off_policy
    users = estimated.new.users if estimated.new else 0
    return (
        f"Estimated off-policy, from {estimated.impressions:,} impressions of {users:,} users in lists that explored,"
        f" last {estimated.days} days"
    )


def estimate_rows(report: Report) -> list[Estimates]:
    """Measure, old, new. None without an estimate."""
    estimated = report.off_policy
    if not (estimated.old and estimated.new):
        return []
    rows: list[Estimates] = []
    for metric, name in (("click_through_rate", "click-through rate"), ("purchase_rate", "purchase rate")):
        old, new = estimated.old.metrics[metric], estimated.new.metrics[metric]
        rows.append((f"{name}, logged", rate(old.logged), rate(new.logged)))
        rows.append(("  doubly robust (DR)", rate(old.dr), rate(new.dr)))
        rows.append(("  new minus old, DR", "", rate(estimated.change[metric], "+")))
        if metric == "click_through_rate":
            rows.append(("  self-normalised, SNIPS", rate(old.snips), rate(new.snips)))
            rows.append(("  inverse propensity, IPS", rate(old.ips), rate(new.ips)))
    rows.append(("effective impressions", number(estimated.old.effective), number(estimated.new.effective)))
    rows.append(("had a chance in the log", percent(estimated.old.supported), percent(estimated.new.supported)))
    if estimated.old.clipped or estimated.new.clipped:
        clipped = number(estimated.old.clipped), number(estimated.new.clipped)
        rows.append((f"weights cut to {estimated.new.max_weight:g}", *clipped))
    return rows


def estimate_notes(report: Report) -> list[str]:
    """What a reader must know before believing the estimate, or why there is none."""
    estimated = report.off_policy
    if estimated.reason or not estimated.new:
        return [f"No off-policy estimate: {estimated.reason}."]
    sentences = []
    if not estimated.new.is_sound:
        sentences.append(
            f"The log says little about the new lists: {percent(estimated.new.supported)} of their choices had a chance in it,"
            f" worth {estimated.new.effective:,.0f} impressions. Let the surface explore more or longer, or run an experiment."
        )
    if estimated.unused:
        sentences.append(f"{estimated.unused:,} impressions of other requests are not used; --requests takes more.")
    sentences.append(
        "Both texts rank with today's data, which has the events since: compare new with old rather than with what was logged."
    )
    return sentences


def rate(estimate: Estimate, sign: str = "") -> str:
    """With its 95 % interval.

    >>> rate(Estimate(0.0421, 0.0391, 0.0452)), rate(Estimate(0.001, -0.002, float("inf")), "+")
    ('4.21 % (3.91, 4.52)', '+0.10 % (-0.20, ?)')
    """
    low, high = (f"{100 * end:{sign}.2f}" if math.isfinite(end) else "?" for end in (estimate.low, estimate.high))
    return f"{100 * estimate.value:{sign}.2f} % ({low}, {high})"
