"""Where raw events have expired: the rows of a count table that the remaining events determine.

From the seq of the horizon on, all events exist. Counts, first times and `user_items` outlive older
events, so a row can be compared only if no older event is part of it. Earlier members of a group
are in the histories, which the checks of pairs and totals read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from alsobought.events import MAX_AHEAD
from alsobought.storage.count_tables import CountTable
from alsobought.storage.retention import stored_at

USER_HISTORY = "user_items"  # has the first_seq of each user's events


@dataclass(frozen=True)
class Comparable:
    """SQL conditions on the rows that can be compared.

    `keys` is one on the keys of both sides, `merged` one on a merged pair of rows. `since` is the
    time from which rows are compared, None for all; `note` says what else is left out. Of some
    tables no row can be compared: then `compared` is false.
    """

    keys: str = "true"
    merged: str = "true"
    since: datetime | None = None
    note: str = ""
    compared: bool = True


def comparable(table: CountTable, database: str, horizon: int) -> Comparable:  # noqa: PLR0911 - a case each
    """The rows of a table that can be compared; `horizon` is 0 if no event ever expired."""
    if not horizon:
        return Comparable()
    since = stored_at(horizon)
    if table.bucket:
        begins = math.ceil((since + MAX_AHEAD).timestamp())
        keys = f"toDateTime({table.bucket}, 'UTC') >= toDateTime({begins:d}, 'UTC')"
        return Comparable(keys=keys, since=datetime.fromtimestamp(begins, UTC))
    if "first_seq" in table.values:
        return Comparable(merged=f"not _table_there or _table_first_seq >= {horizon:d}", since=since)
    if "batch" in table.keys:
        return Comparable(keys=f"batch >= {horizon:d}", since=since)
    if table.has_user_id:
        before = f"select user_id from {database}.{USER_HISTORY} where first_seq < {horizon:d}"
        return Comparable(keys=f"user_id not in ({before})", since=since, note="only users whose events are all there")
    if table.is_summing:
        return Comparable(compared=False, note="events have expired, and its rows do not record when they were counted")
    return Comparable(merged="_events_there", since=since, note="only rows that have an event since then")
