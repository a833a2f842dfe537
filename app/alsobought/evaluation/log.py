"""The log as columns, cut at a moment: purchases before it to learn from, those after it to find again.

What a reader would guess wrong: a basket without an order_id is what somebody bought on one day (UTC).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from alsobought.events import Event, in_utc

Integers = npt.NDArray[np.int64]
MILLISECONDS_A_DAY = 86_400_000
PURCHASE, IMPRESSION = "purchase", "impression"


@dataclass(frozen=True)
class Split:
    """Events before `train_before` are known, those of the `days` from it on are to be foretold."""

    train_before: datetime
    days: int

    @property
    def end(self) -> datetime:
        return self.train_before + timedelta(days=self.days)


@dataclass(frozen=True)
class Names:
    """What the codes of the columns stand for, each list in the order of its names. A basket is (order_id or day, user)."""

    users: list[str]
    items: list[str]
    baskets: list[tuple[str, str]]

    @cached_property
    def item_places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.items)}

    @cached_property
    def user_places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.users)}


@dataclass(frozen=True)
class Purchases:
    """Sold lines in the order of time: `user`, `item` and `basket` are places in `names`, `time` is in milliseconds since 1970.

    `until` is the moment at which they are looked at, in the same unit: ages count from there.
    """

    names: Names
    user: Integers
    item: Integers
    basket: Integers
    time: Integers
    until: int

    def __len__(self) -> int:
        return len(self.time)

    @cached_property
    def age(self) -> npt.NDArray[np.float64]:
        """Days from the day of each line to the day of `until`; whole, as the pipes count them."""
        days = self.until // MILLISECONDS_A_DAY - self.time // MILLISECONDS_A_DAY
        return days.astype(np.float64)

    def part(self, mask: npt.NDArray[np.bool_], until: int | None = None) -> Purchases:
        """The lines of this mask, looked at from this moment."""
        columns = {name: getattr(self, name)[mask] for name in ("user", "item", "basket", "time")}
        return replace(self, **columns, until=self.until if until is None else until)

    def cut(self, at: int) -> tuple[Purchases, Purchases]:
        """Those before a moment, and those from it on, both looked at from it."""
        return self.part(self.time < at, at), self.part(self.time >= at, at)

    @cached_property
    def lines(self) -> Purchases:
        """Each item once in each basket, at its first time there."""
        keys = self.basket * len(self.names.items) + self.item
        _, first = np.unique(keys, return_index=True)
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[first] = True
        return self.part(mask)


@dataclass(frozen=True)
class Log:
    """Both sides of a split, and who did anything at all (an impression is nothing) before it."""

    split: Split
    past: Purchases
    future: Purchases
    active: frozenset[str]


class Collector:
    """Events → a log. They may come in any order; those after the split's end are left out."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self._users: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._baskets: dict[tuple[str, str], int] = {}
        self._rows: tuple[list[int], ...] = ([], [], [], [])
        self._active: set[str] = set()

    def add(self, events: Iterable[Event]) -> None:
        begin, end = self.split.train_before, self.split.end
        users, items, baskets, times = self._rows
        for event in events:
            at = time_of(event)
            if at >= end:
                continue
            user = event.user_id or event.session_id
            if at < begin and event.event_type != IMPRESSION:
                self._active.add(user)
            if event.event_type == PURCHASE:
                basket = (event.order_id or f"{at:%Y-%m-%d}", user)
                users.append(self._users.setdefault(user, len(self._users)))
                items.append(self._items.setdefault(event.item_id, len(self._items)))
                baskets.append(self._baskets.setdefault(basket, len(self._baskets)))
                times.append(milliseconds(at))

    def log(self) -> Log:
        user, item, basket, time = (np.asarray(column, dtype=np.int64) for column in self._rows)
        user_names, user = _in_order(self._users, user)
        item_names, item = _in_order(self._items, item)
        basket_names, basket = _in_order(self._baskets, basket)
        names = Names(user_names, item_names, basket_names)
        order = np.lexsort((item, basket, time))
        until = milliseconds(self.split.train_before)
        everything = Purchases(names, user[order], item[order], basket[order], time[order], until)
        return Log(self.split, *everything.cut(until), frozenset(self._active))


def _in_order(codes: dict[Any, int], column: Integers) -> tuple[list[Any], Integers]:
    """The names in their order, and the column with the codes of that order."""
    names = sorted(codes)
    places = np.empty(len(codes), dtype=np.int64)
    places[[codes[name] for name in names]] = np.arange(len(names))
    return names, places[column]


def time_of(event: Event) -> datetime:
    """When it happened; stored events always say so."""
    if not isinstance(event.timestamp, datetime):
        raise ValueError("a logged event has a time")
    return in_utc(event.timestamp)


def milliseconds(moment: datetime) -> int:
    """Since 1970.

    >>> milliseconds(datetime(1970, 1, 2, tzinfo=UTC))
    86400000
    """
    return round(moment.timestamp() * 1000)


def moment(milliseconds_since: int) -> datetime:
    """The same back again.

    >>> moment(86400000).isoformat()
    '1970-01-02T00:00:00+00:00'
    """
    return datetime.fromtimestamp(milliseconds_since / 1000, UTC)


def day(text: datetime) -> datetime:
    """Midnight in UTC, of a date that names no zone."""
    return text.replace(tzinfo=UTC)
