"""Where raw events have expired: which rows of a count table the events that are left tell for sure.

All events from a seq on are there, the horizon. Counts, first times and `user_items` outlive the others, so a row may be
compared if no event from before had a part in it. Earlier members of a group are in the histories, where the
checks of pairs and totals look.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from alsobought.events import MAX_AHEAD
from alsobought.storage.count_tables import CountTable
from alsobought.storage.retention import stored_at

FIRST_SEEN = "user_items"  # of a user, the first_seq of every event


@dataclass(frozen=True)
class Sure:
    """Conditions of a row: `keys` of its keys, on both sides; `merged` of a row of the table and the one that the events give.

    `since` is the time from which on rows are compared; None for all. `note` says what else is left out. Nothing can be told of
    some tables: they are not `compared`.
    """

    keys: str = "true"
    merged: str = "true"
    since: datetime | None = None
    note: str = ""
    compared: bool = True


def sure(table: CountTable, database: str, horizon: int) -> Sure:  # noqa: PLR0911 - a case each
    """Of a table in this database, with this horizon; 0 if none ever expired."""
    if not horizon:
        return Sure()
    since = stored_at(horizon)
    if "first_seq" in table.values:
        return Sure(merged=f"not _table_there or _table_first_seq >= {horizon:d}", since=since)
    if table.bucket:
        begins = math.ceil((since + MAX_AHEAD).timestamp())
        keys = f"toDateTime({table.bucket}, 'UTC') >= toDateTime({begins:d}, 'UTC')"
        return Sure(keys=keys, since=datetime.fromtimestamp(begins, UTC))
    if "batch" in table.keys:
        return Sure(keys=f"batch >= {horizon:d}", since=since)
    if table.has_user_id:
        before = f"select user_id from {database}.{FIRST_SEEN} where first_seq < {horizon:d}"
        return Sure(keys=f"user_id not in ({before})", since=since, note="users who came since")
    if table.is_summing:
        return Sure(compared=False, note="events have expired, and its rows do not say when they were counted")
    return Sure(merged="_events_there", since=since, note="rows that an event since then has")
