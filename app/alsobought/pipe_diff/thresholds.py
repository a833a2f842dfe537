"""The thresholds that a new text must meet, and a sentence for each one that it misses."""

from __future__ import annotations

from dataclasses import dataclass

from alsobought.pipe_diff.report import Report


@dataclass(frozen=True)
class Thresholds:
    """None: no limit."""

    min_overlap: float | None = None
    max_slower: float | None = None
    max_rows_read: float | None = None
    max_empty: float | None = None
    allow_columns: bool = False


def missed_thresholds(report: Report, thresholds: Thresholds) -> list[str]:
    """A sentence for each threshold that is missed. New errors and lost columns are always misses."""
    missed = []
    if report.new.failed.alone:
        missed.append(f"new errors: {report.new.failed.alone:,}, the first: {report.new.failed.first}")
    columns = report.columns
    if not thresholds.allow_columns:
        missed += [f"the column {name} was removed" for name in columns.removed]
        missed += [f"the column {name} was {old} and is {new}" for name, (old, new) in columns.retyped.items()]
    limits = [thresholds.min_overlap, thresholds.max_slower, thresholds.max_rows_read, thresholds.max_empty]
    if not report.lists and any(limit is not None for limit in limits) and not missed:
        return ["no request was answered by both texts: nothing to compare"]
    if report.lists and thresholds.min_overlap is not None and report.lists.rank_biased < thresholds.min_overlap:
        missed.append(f"the mean overlap is {report.lists.rank_biased:.3f}, under {thresholds.min_overlap:g}")
    if report.seconds and report.seconds.median.over(thresholds.max_slower):
        missed.append(f"the median time is {report.seconds.median.text}, over {thresholds.max_slower:g}")
    for name, read in (("median", report.rows_read.median), ("p95", report.rows_read.p95)) if report.rows_read else ():
        if read.over(thresholds.max_rows_read):
            missed.append(f"the {name} of rows read is {read.text}, over {thresholds.max_rows_read:g}")
    if report.lists and thresholds.max_empty is not None and report.new.empty > thresholds.max_empty:
        missed.append(f"{report.new.empty:.1%} of the answers are empty, over {thresholds.max_empty:.1%}")
    return missed
