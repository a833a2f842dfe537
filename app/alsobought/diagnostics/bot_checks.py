"""Checks of events that are no person's: those of known bots, which are dropped, and of users who have far more than others."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from alsobought.bots import FILE
from alsobought.diagnostics.findings import Finding
from alsobought.settings import Settings
from alsobought.storage.dropped_events import dropped_in_last_day
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

MAX_SHOWN = 3  # of users, and of bots
MIN_EVENTS = 1_000  # of a user in 24 hours: fewer change no list
TIMES = 20  # as many as what others have
ACTIVE_SHARE, MIN_ACTIVE = 0.01, 3  # of the users, those with the most events: others are measured without them


def check_bots(warehouse: Warehouse, settings: Settings) -> Iterator[Finding]:
    """What was dropped in the last day."""
    bots = dropped_in_last_day(warehouse)
    if not settings.drop_bots:
        yield Finding("bots", "ok", "ALSOBOUGHT_DROP_BOTS is false: their events count like those of people")
    elif not bots:
        yield Finding("bots", "ok", "no event was dropped in the last day")
    else:
        names = ", ".join(f"{bot} ({events:,})" for bot, events in bots[:MAX_SHOWN])
        names += f" and {len(bots) - MAX_SHOWN} more" if len(bots) > MAX_SHOWN else ""
        total = sum(events for _, events in bots)
        yield Finding("bots", "ok", f"{total:,} event{'s' * (total != 1)} dropped in the last day: {names}")


def check_users(warehouse: Warehouse) -> Iterator[Finding]:
    """Users with far more events than others in the 24 hours before the newest event: perhaps no people."""
    loud, total, users = _loudest(warehouse)
    items = _most_frequent_items(warehouse, [user for user, _ in loud])
    for user, events in loud[:MAX_SHOWN]:
        item, times = items[user]
        message = f"{user!r} has {events:,} events of 24 hours, {events / total:.0%} of all; {times:,} of them are on {item!r}"
        advice = (
            f"If that is no person: `alsobought forget {shlex.quote(user)}`, and add its user agent to {FILE},"
            " or have it send no events"
        )
        yield Finding("users", "warning", message, advice)
    if len(loud) > MAX_SHOWN:
        yield Finding("users", "warning", f"{len(loud) - MAX_SHOWN:,} more have as many", "See those above")
    if not loud and users:
        yield Finding("users", "ok", f"{users:,} in 24 hours, none with far more events than others")


def _loudest(warehouse: Warehouse) -> tuple[list[tuple[str, int]], int, int]:
    """Users with their events, most first; the number of all events, and of all users."""
    sql = f"""
        with
            counted as (
                select user_id, count() as events
                from {warehouse.database}.events
                where timestamp > (select max(timestamp) from {warehouse.database}.events) - interval 1 day
                group by user_id
            ),
            (
                select arrayReverseSort(groupArray(events)) from counted
            ) as most_first,
            greatest({MIN_ACTIVE}, toUInt64(length(most_first) * {ACTIVE_SHARE})) as active,
            greatest({MIN_EVENTS}, {TIMES} * most_first[active + 1]) as too_many
        select
            arrayReverseSort(pair -> (pair.2, pair.1), groupArrayIf((user_id, events), events >= too_many)),
            sum(events),
            count()
        from counted
    """
    loud, total, users = warehouse.trusted_rows(sql).data[0]
    return [(user, int(events)) for user, events in loud], int(total), int(users)


def _most_frequent_items(warehouse: Warehouse, users: list[str]) -> dict[str, tuple[str, int]]:
    """{user: the item of most of the user's events in these 24 hours, and their number}"""
    if not users:
        return {}
    sql = f"""
        select user_id, item_id, count() as events
        from {warehouse.database}.events
        where
            user_id in ({", ".join(map(quoted, users[:MAX_SHOWN]))})
            and timestamp > (select max(timestamp) from {warehouse.database}.events) - interval 1 day
        group by user_id, item_id
        order by events desc, item_id
        limit 1 by user_id
    """
    return {user: (item, int(events)) for user, item, events in warehouse.trusted_rows(sql).data}
