"""The report of a comparison: the differences between two texts of a pipe, in numbers.

Shares, means and quantiles weight a request by how often it was made. The fields are the JSON of `--json`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from alsobought.pipe_diff.off_policy import OffPolicy


class Ratio(msgspec.Struct, frozen=True):
    """A number of either side, and new / old: None where only the old one is 0."""

    old: float
    new: float
    ratio: float | None

    @property
    def text(self) -> str:
        """
        >>> ratio(2, 3).text, ratio(0, 3).text
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


class Failures(msgspec.Struct, frozen=True):
    """The number of failed requests, how many of those the other text answered, and the first error."""

    requests: int
    alone: int
    first: str


class SideReport(msgspec.Struct, frozen=True):
    """Results of one text. `empty` and `fallback` are shares of the compared answers; `items` counts distinct items.

    `unknown` counts the requests with a parameter that the text does not have.
    """

    label: str
    version: str
    failed: Failures
    unknown: dict[str, int]
    fallback_fault: str
    empty: float
    fallback: float
    items: int


class Columns(msgspec.Struct, frozen=True):
    """Columns and their types; of a retyped one, old and new."""

    added: dict[str, str]
    removed: dict[str, str]
    retyped: dict[str, tuple[str, str]]


class Similarity(msgspec.Struct, frozen=True):
    """Shares of answers: identical, same list with other values, same items in another order, other items; and means."""

    same: float
    values: float
    order: float
    items: float
    jaccard: float
    rank_biased: float


class Item(msgspec.Struct, frozen=True):
    """An item that only one text returns, and the number of requests for which it does."""

    item: str
    title: str
    times: int


class RankedItem(msgspec.Struct, frozen=True):
    """An item of a list. `moved`: "gone", "new", or the ranks it moved up (+) or down (-) since the old list."""

    item: str
    title: str
    moved: str = ""


class Example(msgspec.Struct, frozen=True):
    """A request with its most changed list, old and new. `key` identifies the list if there are several."""

    parameters: dict[str, list[Any]]
    times: int
    jaccard: float
    rank_biased: float
    key: str
    old: list[RankedItem]
    new: list[RankedItem]


class Report(msgspec.Struct, frozen=True):
    """`lists` and the costs are None where no request was answered by both texts.

    `requests` counts distinct requests, `asked` all; `unsteady` those whose data changed during every attempt. `off_policy` are the
    rates that either text would have had.
    """

    pipe: str
    old: SideReport
    new: SideReport
    clock: datetime
    requests: int
    asked: int
    compared: int
    unsteady: int
    columns: Columns
    lists: Similarity | None
    rows_read: Spread | None
    bytes_read: Spread | None
    seconds: Spread | None
    only_old: list[Item]
    only_new: list[Item]
    examples: list[Example]
    off_policy: OffPolicy
    missed: list[str] = []
