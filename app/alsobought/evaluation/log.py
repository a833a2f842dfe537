"""The log as columns: the events of one type, split at a moment into past and future."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from alsobought.evaluation.baskets import PURCHASE, Basket, basket_of, user_of
from alsobought.events import Event, in_utc

Integers = npt.NDArray[np.int64]
MILLISECONDS_A_DAY = 86_400_000
IMPRESSION = "impression"


@dataclass(frozen=True)
class Split:
    """Events before `train_before` are the past; those of the following `days` are to be predicted."""

    train_before: datetime
    days: int

    @property
    def end(self) -> datetime:
        return self.train_before + timedelta(days=self.days)


@dataclass(frozen=True)
class Names:
    """The sorted names that the codes of the columns index."""

    users: list[str]
    items: list[str]
    baskets: list[Basket]

    @cached_property
    def item_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.items)}

    @cached_property
    def user_index(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.users)}


@dataclass(frozen=True)
class Interactions:
    """Events of one type in the order of time: `user`, `item` and `basket` index `names`, `time` is in milliseconds since 1970.

    `until`, in the same unit, is the moment from which ages are counted.
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
        """Days from the day of each event to the day of `until`, in whole days, as the pipes count them."""
        days = self.until // MILLISECONDS_A_DAY - self.time // MILLISECONDS_A_DAY
        return days.astype(np.float64)

    def part(self, mask: npt.NDArray[np.bool_], until: int | None = None) -> Interactions:
        """The events of this mask, with ages counted from `until`."""
        columns = {name: getattr(self, name)[mask] for name in ("user", "item", "basket", "time")}
        return replace(self, **columns, until=self.until if until is None else until)

    def cut(self, at: int) -> tuple[Interactions, Interactions]:
        """The events before a moment and those from it on, both with ages counted from it."""
        return self.part(self.time < at, at), self.part(self.time >= at, at)

    @cached_property
    def lines(self) -> Interactions:
        """The lines of baskets: the first event of each item in each of them."""
        keys = self.basket * len(self.names.items) + self.item
        _, first = np.unique(keys, return_index=True)
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[first] = True
        return self.part(mask)


@dataclass(frozen=True)
class Log:
    """Both sides of a split, and the users with any event but impressions before it.

    `types` has the number of events of every type, on both sides.
    """

    split: Split
    past: Interactions
    future: Interactions
    active: frozenset[str]
    event_type: str = PURCHASE
    types: Mapping[str, int] = field(default_factory=dict)


class Collector:
    """Builds a log of one type of events from all events, in any order; those after the end of the split are ignored."""

    def __init__(self, split: Split, event_type: str = PURCHASE) -> None:
        self.split, self.event_type = split, event_type
        self._users: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._baskets: dict[Basket, int] = {}
        self._rows: tuple[list[int], ...] = ([], [], [], [])
        self._active: set[str] = set()
        self._types: Counter[str] = Counter()

    def add(self, events: Iterable[Event]) -> None:
        begin, end = self.split.train_before, self.split.end
        users, items, baskets, times = self._rows
        for event in events:
            time = time_of(event)
            if time >= end:
                continue
            user = user_of(event)
            self._types[event.event_type] += 1
            if time < begin and event.event_type != IMPRESSION:
                self._active.add(user)
            if event.event_type == self.event_type and event.item_id:
                basket = basket_of(event, time)
                users.append(self._users.setdefault(user, len(self._users)))
                items.append(self._items.setdefault(event.item_id, len(self._items)))
                baskets.append(self._baskets.setdefault(basket, len(self._baskets)))
                times.append(milliseconds(time))

    def log(self) -> Log:
        user, item, basket, time = (np.asarray(column, dtype=np.int64) for column in self._rows)
        user_names, user = _sorted_codes(self._users, user)
        item_names, item = _sorted_codes(self._items, item)
        basket_names, basket = _sorted_codes(self._baskets, basket)
        names = Names(user_names, item_names, basket_names)
        order = np.lexsort((item, basket, time))
        until = milliseconds(self.split.train_before)
        events = Interactions(names, user[order], item[order], basket[order], time[order], until)
        return Log(self.split, *events.cut(until), frozenset(self._active), self.event_type, dict(self._types))


def _sorted_codes(codes: dict[Any, int], column: Integers) -> tuple[list[Any], Integers]:
    """The sorted names, and the column with their codes."""
    names = sorted(codes)
    new_codes = np.empty(len(codes), dtype=np.int64)
    new_codes[[codes[name] for name in names]] = np.arange(len(names))
    return names, new_codes[column]


def time_of(event: Event) -> datetime:
    """The timestamp of a stored event, which is never missing."""
    if not isinstance(event.timestamp, datetime):
        raise ValueError("a stored event has a timestamp")
    return in_utc(event.timestamp)


def milliseconds(moment: datetime) -> int:
    """Since 1970.

    >>> milliseconds(datetime(1970, 1, 2, tzinfo=UTC))
    86400000
    """
    return round(moment.timestamp() * 1000)


def moment(milliseconds_since: int) -> datetime:
    """The inverse of `milliseconds`.

    >>> moment(86400000).isoformat()
    '1970-01-02T00:00:00+00:00'
    """
    return datetime.fromtimestamp(milliseconds_since / 1000, UTC)


def utc_midnight(date: datetime) -> datetime:
    """Midnight in UTC of a date without a time zone."""
    return date.replace(tzinfo=UTC)
