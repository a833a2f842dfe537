"""Check that no placeholder is a user: everybody without an id would be that one.

Cheap on any number of events: they are sorted by user, so these are found by the key, in the usual spellings.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from alsobought.diagnostics.findings import Finding
from alsobought.pipes.placeholder_file import placeholders_of
from alsobought.placeholders import ANY, ZERO, Placeholders
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

RECENT_DAYS = 7
MAX_SHOWN = 3  # of users, and of merges
ZEROS = ("00", "00000000-0000-0000-0000-000000000000")
ELSE = "or take it out of sql/placeholders.csv if it is somebody"


def check_placeholders(warehouse: Warehouse, home: Path) -> Iterator[Finding]:
    """Users with recent events, and merges."""
    placeholders = placeholders_of(home)
    users, merges = _users(warehouse, placeholders), _merges(warehouse, placeholders)
    for user, events in users[:MAX_SHOWN]:
        message = f"{user!r} is a user: {events:,} event{'s' * (events != 1)} in the last {RECENT_DAYS} days"
        advice = f"That was everybody without an id: `alsobought forget {shlex.quote(user)}`, {ELSE}"
        yield Finding("placeholders", "warning", message, advice)
    for guest, user in merges[:MAX_SHOWN]:
        advice = f"That account may have events of others: `alsobought unmerge {shlex.quote(guest)}`, {ELSE}"
        yield Finding("placeholders", "warning", f"{guest!r} was merged into {user!r}", advice)
    if not users and not merges:
        yield Finding("placeholders", "ok", f"none has events of the last {RECENT_DAYS} days, none was merged")


def _users(warehouse: Warehouse, placeholders: Placeholders) -> list[tuple[str, int]]:
    sql = (
        f"select user_id, count() from {warehouse.database}.events where ({_condition('user_id', placeholders)})"
        f" and ingested_at > now() - interval {RECENT_DAYS} day group by user_id order by count() desc, user_id"
    )
    rows = warehouse.trusted_rows(sql).data
    return [(user, int(events)) for user, events in rows if user in placeholders.nobody]


def _merges(warehouse: Warehouse, placeholders: Placeholders) -> list[tuple[str, str]]:
    either = f"{_condition('guest_id', placeholders)} or {_condition('user_id', placeholders)}"
    sql = f"select guest_id, user_id from {warehouse.database}.user_merges final where {either} order by all"
    rows = warehouse.trusted_rows(sql).data
    return [(guest, user) for guest, user in rows if guest in placeholders.nobody or user in placeholders.nobody]


def _condition(column: str, placeholders: Placeholders) -> str:
    """The condition that a column has a placeholder in small or capital letters, or begins like a pattern."""
    members = placeholders.nobody.members
    plain = [member for member in members if ANY not in member]
    spelled = {spelling(member) for member in plain for spelling in (str, str.upper, str.capitalize)}
    spelled.update(ZEROS if ZERO in plain else ())
    starts = [member.partition(ANY)[0] for member in members if ANY in member]
    conditions = [f"startsWith({column}, {quoted(start)})" for start in starts if start]
    return (
        " or ".join([*conditions, *([f"{column} in ({', '.join(map(quoted, sorted(spelled)))})"] if spelled else [])])
        or "false"
    )
