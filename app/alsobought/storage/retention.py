"""How long raw events are kept: a TTL on `events`, by setting. The counts, first times and `user_items` outlive them.

Events go by seq, the order in which they were stored: what is left of a user is always the latest. What is computed from
events again must know from which seq on all of them are there: the horizon.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from alsobought.settings import Settings
from alsobought.storage import mutation_journal
from alsobought.storage.warehouse import Warehouse

MARGIN = timedelta(hours=1)  # what is being read now must not expire meanwhile
KIND = "retention"


def horizon(warehouse: Warehouse, settings: Settings, now: datetime) -> int:
    """All events from this seq on are kept; 0 if none ever expired."""
    sql = f"select max(marks['horizon']) from {warehouse.database}.rewrites where kind = {{kind:String}}"
    before = int(warehouse.trusted_rows(sql, {"kind": KIND}).data[0][0])
    return max(before, _begins(settings.event_retention_days, now))


def stored_at(seq: int) -> datetime:
    """When the event of a seq was stored: the clock that gives them counts microseconds.

    >>> stored_at(1_767_268_800_000_000)
    datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.timezone.utc)
    """
    return datetime.fromtimestamp(seq / 1_000_000, UTC)


def keep(warehouse: Warehouse, settings: Settings, now: datetime, identity: int) -> bool:
    """Makes the table forget events as the settings say; returns whether that was new to it.

    What another setting let expire is gone for good: that is noted first.
    """
    sql = "select create_table_query from system.tables where database = {database:String} and name = 'events'"
    made = str(warehouse.trusted_rows(sql, {"database": warehouse.database}).data[0][0])
    found = re.search(r"TTL .*toIntervalDay\((\d+)\)", made)
    before, wanted = int(found[1]) if found else 0, settings.event_retention_days
    if before == wanted:
        return False
    if before:
        mutation_journal.note(warehouse, identity, KIND, {"horizon": _begins(before, now)})
    change = f"modify ttl toDateTime(intDiv(seq, 1000000)) + interval {wanted:d} day" if wanted else "remove ttl"
    warehouse.command(f"alter table {warehouse.database}.events {change}")
    return True


def _begins(days: int, now: datetime) -> int:
    return int((now - timedelta(days=days) + MARGIN).timestamp() * 1_000_000) if days else 0
