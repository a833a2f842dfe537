"""What a data set holds: its events in the order of time, its catalogue at any moment, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec
import numpy.typing as npt

from alsobought.events import Event
from alsobought.items import Item


class Oracle(Protocol):
    """The true probabilities of generated data: of each of `items` in a visit of these users, in which they saw the known items.

    `scores` returns a row for each user and a column for each item.
    """

    items: Sequence[str]

    def scores(self, users: Sequence[str], known: Sequence[Sequence[str]], at: datetime) -> npt.NDArray[Any]: ...


@dataclass(frozen=True)
class Lifetime:
    """An item is in the catalogue from `begins` on, and can no longer be had from `ends` on."""

    begins: datetime | None = None
    ends: datetime | None = None


@dataclass(frozen=True)
class Contents:
    """`events` are in the order of time. Items without an entry in `lifetimes` are always there."""

    items: Sequence[Item]
    events: Sequence[Event]
    lifetimes: dict[str, Lifetime]
    oracle: Oracle | None = None

    def catalogue(self, at: datetime) -> list[Item]:
        """The items that existed at a moment; those that were gone by then are not available."""
        items = []
        for item in self.items:
            life = self.lifetimes.get(item.item_id, Lifetime())
            if life.begins is None or life.begins < at:
                gone = life.ends is not None and life.ends < at
                items.append(msgspec.structs.replace(item, available=False) if gone else item)
        return items

    @property
    def ends(self) -> datetime:
        """The time of the newest event."""
        return _time(self.events[-1])

    def moved(self, weeks: int) -> Contents:
        """The same, so many weeks later: weekdays and hours stay. Without the oracle."""
        by = timedelta(weeks=weeks)
        items = [
            msgspec.structs.replace(item, published_at=item.published_at + by)
            if isinstance(item.published_at, datetime)
            else item
            for item in self.items
        ]
        events = [msgspec.structs.replace(event, timestamp=_time(event) + by) for event in self.events]
        lifetimes = {
            name: Lifetime(life.begins + by if life.begins else None, life.ends + by if life.ends else None)
            for name, life in self.lifetimes.items()
        }
        return Contents(items, events, lifetimes)


def _time(event: Event) -> datetime:
    if not isinstance(event.timestamp, datetime):
        raise ValueError("an event of a data set has a timestamp")
    return event.timestamp


@dataclass(frozen=True)
class Dataset:
    """`source` names the origin and licence, `remark` what a reader of results must know. `version` changes with the content."""

    name: str
    title: str
    source: str
    remark: str
    read: Callable[[], Contents]
    generated: bool = False
    version: int = 1

    @property
    def digest(self) -> str:
        return f"{self.name}-{self.version}"


def in_seconds(timestamp: float) -> datetime:
    """The moment of a Unix time.

    >>> in_seconds(86400).isoformat()
    '1970-01-02T00:00:00+00:00'
    """
    return datetime.fromtimestamp(timestamp, UTC)
