"""The report of a replay: what changed between two texts of a pipe, in numbers, and the thresholds that it misses.

Shares, means and quantiles count a request as often as it was asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec


class Ratio(msgspec.Struct, frozen=True):
    """A number on either side, and new / old: None where only the old one is 0."""

    old: float
    new: float
    ratio: float | None

    @property
    def said(self) -> str:
        """As words.

        >>> ratio(2, 3).said, ratio(0, 3).said
        ('1.50 times', 'from 0')
        """
        return "from 0" if self.ratio is None else f"{self.ratio:.2f} times"

    def over(self, limit: float | None) -> bool:
        return limit is not None and (self.ratio is None or self.ratio > limit)


def ratio(old: float, new: float) -> Ratio:
    return Ratio(old, new, new / old if old else 1.0 if not new else None)


class Spread(msgspec.Struct, frozen=True):
    median: Ratio
    p95: Ratio


class Failed(msgspec.Struct, frozen=True):
    """How many requests were not answered, how many of those the other text answered, and the first error."""

    requests: int
    alone: int
    first: str


class Text(msgspec.Struct, frozen=True):
    """What one text did. `empty` and `fallback` are shares of what both answered, `items` counts distinct ones shown."""

    label: str
    version: str
    failed: Failed
    unknown: dict[str, int]
    fallback_fault: str
    empty: float
    fallback: float
    items: int


class Columns(msgspec.Struct, frozen=True):
    added: dict[str, str]
    removed: dict[str, str]
    retyped: dict[str, tuple[str, str]]


class Alike(msgspec.Struct, frozen=True):
    """Shares of answers: wholly the same, the same list with other values, in another order, with other items; and means."""

    same: float
    values: float
    order: float
    items: float
    jaccard: float
    rank_biased: float


class Item(msgspec.Struct, frozen=True):
    """An item that only one text shows, and in how many of the answers, as often as they were asked."""

    item: str
    title: str
    times: int


class Place(msgspec.Struct, frozen=True):
    """An item of a list. `moved`: gone, new, or how many places up (+) or down (-) since the old list."""

    item: str
    title: str
    moved: str = ""


class Example(msgspec.Struct, frozen=True):
    """A request with one of its lists, old and new: the one that changed most. `key` says which, if there are several."""

    parameters: dict[str, list[Any]]
    times: int
    jaccard: float
    rank_biased: float
    key: str
    old: list[Place]
    new: list[Place]


class Report(msgspec.Struct, frozen=True):
    """`lists` and `read` are None where no request was answered by both texts."""

    pipe: str
    old: Text
    new: Text
    clock: datetime
    requests: int
    asked: int
    compared: int
    unsteady: int
    columns: Columns
    lists: Alike | None
    rows_read: Spread | None
    bytes_read: Spread | None
    seconds: Spread | None
    only_old: list[Item]
    only_new: list[Item]
    examples: list[Example]
    missed: list[str] = []


@dataclass(frozen=True)
class Thresholds:
    """What a new text must keep to; None: anything goes."""

    min_overlap: float | None = None
    max_slower: float | None = None
    max_rows_read: float | None = None
    max_empty: float | None = None
    allow_columns: bool = False


def missed(made: Report, thresholds: Thresholds) -> list[str]:
    """A sentence for each threshold that is missed."""
    found = []
    if made.new.failed.alone:
        found.append(f"new errors: {made.new.failed.alone:,}, the first: {made.new.failed.first}")
    columns = made.columns
    if not thresholds.allow_columns:
        found += [f"the column {name} is gone" for name in columns.removed]
        found += [f"the column {name} was {was} and is {now}" for name, (was, now) in columns.retyped.items()]
    judged = [thresholds.min_overlap, thresholds.max_slower, thresholds.max_rows_read, thresholds.max_empty]
    if not made.lists and any(limit is not None for limit in judged) and not found:
        return ["no request was answered by both texts: there is nothing to judge"]
    if made.lists and thresholds.min_overlap is not None and made.lists.rank_biased < thresholds.min_overlap:
        found.append(f"the mean overlap is {made.lists.rank_biased:.3f}, under {thresholds.min_overlap:g}")
    if made.seconds and made.seconds.median.over(thresholds.max_slower):
        found.append(f"the median time is {made.seconds.median.said}, over {thresholds.max_slower:g}")
    for name, read in (("median", made.rows_read.median), ("p95", made.rows_read.p95)) if made.rows_read else ():
        if read.over(thresholds.max_rows_read):
            found.append(f"the {name} of rows read is {read.said}, over {thresholds.max_rows_read:g}")
    if made.lists and thresholds.max_empty is not None and made.new.empty > thresholds.max_empty:
        found.append(f"{made.new.empty:.1%} of the answers are empty, over {thresholds.max_empty:.1%}")
    return found
