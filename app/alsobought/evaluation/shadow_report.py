"""Shadows of surfaces beside what was shown, from the pipes shadow_metrics and shadow_estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alsobought.evaluation.recommendation_report import AskPipe, Row, share
from alsobought.off_policy.evaluation import MIN_EFFECTIVE, MIN_SUPPORTED


@dataclass(frozen=True)
class Shadow:
    """A row of shadow_metrics, and the one of shadow_estimates with the same surface and pipes, if shown lists explored."""

    metrics: Row
    estimate: Row | None

    @property
    def title(self) -> str:
        return f"{self.metrics['surface']}: {self.metrics['shadow']} beside {self.metrics['pipe']}"


@dataclass(frozen=True)
class ShadowReport:
    since: datetime
    until: datetime
    shadows: Sequence[Shadow]


def shadow_report(ask: AskPipe, since: datetime, until: datetime) -> ShadowReport:
    """Raises the errors of the pipes."""
    period = {"since": since.isoformat(), "until": until.isoformat(), "limit": "1000"}
    estimates = {_key(row): row for row in ask("shadow_estimates", period)}
    metrics = ask("shadow_metrics", period)
    return ShadowReport(since, until, [Shadow(row, estimates.get(_key(row))) for row in metrics])


def _key(row: Row) -> tuple[Any, ...]:
    return row["surface"], row["pipe"], row["shadow"]


def lines(shadow: Shadow) -> list[tuple[str, str, str]]:
    """Measure, shown, shadow; what concerns both is in the last column."""
    row = shadow.metrics
    rows = [
        ("requests with both", "", f"{row['pairs']:,}"),
        ("errors", "", f"{row['errors']:,}"),
        ("overlap, rank-biased", "", f"{row['overlap']:.3f}"),
        ("overlap, Jaccard", "", f"{row['jaccard']:.3f}"),
        ("empty lists", share(row["empty"]), share(row["shadow_empty"])),
        ("time, median", f"{row['median_ms']:,.1f} ms", f"{row['shadow_median_ms']:,.1f} ms"),
        ("time, p95", f"{row['p95_ms']:,.1f} ms", f"{row['shadow_p95_ms']:,.1f} ms"),
        ("clicked items", f"{row['clicks']:,}", f"{row['clicks_listed']:,}"),
    ]
    if row["clicks_listed"]:
        rows.append(("  their mean rank, if in both", f"{row['click_rank']:.2f}", f"{row['shadow_click_rank']:.2f}"))
        rows.append(("  higher, lower in the shadow", "", f"{row['clicks_higher']:,}, {row['clicks_lower']:,}"))
    return rows + (_estimate_lines(shadow.estimate) if shadow.estimate else [])


def _estimate_lines(row: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    estimated = "unknown"
    if row["effective_impressions"]:
        rate, low, high = (100 * row[f"shadow_click_through_rate{end}"] for end in ("", "_low", "_high"))
        estimated = f"{rate:.2f} % ({low:.2f}, {high:.2f})"
    return [
        ("click-through rate, estimated", f"{100 * row['click_through_rate']:.2f} %", estimated),
        ("  impressions, effective", f"{row['impressions']:,}", f"{row['effective_impressions']:,.0f}"),
        ("  had a chance to be shown", "", share(row["supported"])),
    ]


def notes(shadow: Shadow) -> list[str]:
    """What a reader must know before choosing a list by this."""
    row, estimate = shadow.metrics, shadow.estimate
    sentences = []
    missing = row["clicks"] - row["clicks_listed"]
    if missing:
        sentences.append(
            f"The shadow lists {missing:,} of the clicked items nowhere; its own other items could not be clicked"
        )
    if estimate is None:
        sentences.append(
            "No estimate: no shown list explored, and lists without chance cannot tell how others would do. Set `explore: 0.1`"
            " among the parameters of the surface"
        )
    elif estimate["effective_impressions"] < MIN_EFFECTIVE or estimate["supported"] < MIN_SUPPORTED:
        sentences.append("The shown lists say little about the shadow: explore more or longer, or run an experiment")
    return sentences


def markdown(report: ShadowReport) -> str:
    parts = [f"# Shadows, {report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC", ""]
    for shadow in report.shadows:
        parts += [f"## {shadow.title}", "", "| | shown | shadow |", "|---|---:|---:|"]
        parts += [f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines(shadow)] + [""]
        parts += [f"* {sentence}." for sentence in notes(shadow)] + [""]
    return "\n".join(parts).rstrip() + "\n"
