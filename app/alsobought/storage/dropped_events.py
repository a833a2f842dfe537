"""The table `dropped_events`: how many events of which bots were dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

import msgspec

from alsobought.storage.warehouse import Warehouse

TABLE = "dropped_events"


class DroppedEvents(msgspec.Struct, frozen=True):
    """A row of the table."""

    hour: datetime
    bot: str
    events: int
    last_at: datetime


def dropped_events(bots: Iterable[str], now: datetime) -> list[DroppedEvents]:
    """A row for each bot, of which `bots` has one name for each event.

    >>> [(row.bot, row.events, row.hour.minute) for row in dropped_events(["Googlebot", "Googlebot"], datetime(2026, 1, 1, 12, 30))]
    [('Googlebot', 2, 0)]
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    return [DroppedEvents(hour, bot, events, now) for bot, events in Counter(bots).items()]


def dropped_in_last_day(warehouse: Warehouse) -> list[tuple[str, int]]:
    """The bots of which events were dropped in the last 24 hours, and how many, most first."""
    sql = (
        f"select bot, sum(events) from {warehouse.database}.{TABLE}"
        " where hour > now() - interval 1 day group by bot order by sum(events) desc, bot"
    )
    return [(bot, int(events)) for bot, events in warehouse.trusted_rows(sql).data]
