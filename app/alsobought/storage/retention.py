"""Retention by settings: TTLs on tables. Counts, first times and `user_items` outlive the events.

Events expire by seq, the order in which they were stored: those left of a user are always the latest. Whatever is recomputed
from events must know the horizon, the seq from which on all of them are there.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from alsobought.settings import Settings
from alsobought.storage import mutation_journal
from alsobought.storage.warehouse import AUDIT_TABLE, Warehouse

MARGIN = timedelta(hours=1)  # events that are being read must not expire meanwhile
KIND = "retention"
POSTED_LETTER_DAYS = 30


def horizon(warehouse: Warehouse, settings: Settings, now: datetime) -> int:
    """The seq from which on no event has expired; 0 if none ever did."""
    return max(_recorded_horizon(warehouse), _horizon_of(settings.event_retention_days, now))


def inherit_horizon(source: Warehouse, target: Warehouse, identity: int) -> None:
    """Records in the target what an earlier setting deleted in the source, before users come from there."""
    recorded = _recorded_horizon(source)
    if recorded > _recorded_horizon(target):
        mutation_journal.record_done(target, identity, KIND, {"horizon": recorded})


def _recorded_horizon(warehouse: Warehouse) -> int:
    sql = f"select max(marks['horizon']) from {warehouse.database}.rewrites where kind = {{kind:String}}"
    return int(warehouse.trusted_rows(sql, {"kind": KIND}).data[0][0])


def stored_at(seq: int) -> datetime:
    """The time at which the event with this seq was stored: the clock behind seq counts microseconds.

    >>> stored_at(1_767_268_800_000_000)
    datetime.datetime(2026, 1, 1, 12, 0, tzinfo=datetime.timezone.utc)
    """
    return datetime.fromtimestamp(seq / 1_000_000, UTC)


def expired_before(horizon: int) -> str:
    """A sentence about the events that have expired; empty if none did."""
    return f"events stored before {stored_at(horizon):%Y-%m-%d %H:%M} UTC have expired" if horizon else ""


def apply_retention(warehouse: Warehouse, settings: Settings, now: datetime, identity: int) -> bool:
    """Sets the TTLs of tables as the settings demand. Returns True if that changed the one of `events`.

    Events that expired under the previous setting are gone for good, so their horizon is recorded first.
    """
    days = _days_by_table(warehouse)
    _apply(warehouse, "requests", days, _by_time(settings.request_retention_days))
    _apply(warehouse, "dead_letters", days, _letter_expiry(settings.dead_letter_retention_days))
    _apply(warehouse, AUDIT_TABLE, days, _by_time(settings.audit_retention_days))
    current, wanted = sum(days["events"]), settings.event_retention_days
    if current != wanted and current:
        mutation_journal.record_done(warehouse, identity, KIND, {"horizon": _horizon_of(current, now)})
    expiry = {f"toDateTime(intDiv(seq, 1000000)) + interval {wanted:d} day": wanted} if wanted else {}
    return _apply(warehouse, "events", days, expiry)


def _by_time(days: int) -> dict[str, int]:
    return {f"toDateTime(time) + interval {days:d} day": days} if days else {}


def _letter_expiry(days: int) -> dict[str, int]:
    """Those of posts at the latest after POSTED_LETTER_DAYS: whoever sent them knows of it from the response."""
    posted = min(days or POSTED_LETTER_DAYS, POSTED_LETTER_DAYS)
    of_all = {f"toDateTime(noted_at) + interval {days:d} day": days} if days else {}
    return of_all | {f"toDateTime(noted_at) + interval {posted:d} day where source = 'http'": posted}


def _apply(warehouse: Warehouse, table: str, days: dict[str, list[int]], expiry: dict[str, int]) -> bool:
    """`expiry` has the days of each expression of the TTL. Returns True if that is a change."""
    if table not in days or days[table] == list(expiry.values()):
        return False
    change = f"modify ttl {', '.join(expiry)}" if expiry else "remove ttl"
    warehouse.command(f"alter table {warehouse.database}.{table} {change}")
    return True


def _days_by_table(warehouse: Warehouse) -> dict[str, list[int]]:
    """The days in the TTLs of these tables, in their order."""
    sql = (
        "select name, extractAll(extract(create_table_query, 'TTL (.*) SETTINGS'), 'toIntervalDay\\\\((\\\\d+)\\\\)')"
        " from system.tables where database = {database:String}"
        f" and name in ('events', 'requests', 'dead_letters', '{AUDIT_TABLE}')"
    )
    rows = warehouse.trusted_rows(sql, {"database": warehouse.database}).data
    return {table: [int(days) for days in texts] for table, texts in rows}


def _horizon_of(days: int, now: datetime) -> int:
    return int((now - timedelta(days=days) + MARGIN).timestamp() * 1_000_000) if days else 0
