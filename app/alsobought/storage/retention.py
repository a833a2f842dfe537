"""Retention of raw events and of the audit log: a TTL on each table, by setting. The counts, first times and `user_items`
outlive the events.

Events expire by seq, the order in which they were stored: those left of a user are always the latest. Whatever is recomputed
from events must know the horizon, the seq from which on all of them are there.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from alsobought.settings import Settings
from alsobought.storage import mutation_journal
from alsobought.storage.warehouse import AUDIT_TABLE, Warehouse

MARGIN = timedelta(hours=1)  # events that are being read must not expire meanwhile
KIND = "retention"


def horizon(warehouse: Warehouse, settings: Settings, now: datetime) -> int:
    """The seq from which on no event has expired; 0 if none ever did."""
    sql = f"select max(marks['horizon']) from {warehouse.database}.rewrites where kind = {{kind:String}}"
    recorded = int(warehouse.trusted_rows(sql, {"kind": KIND}).data[0][0])
    return max(recorded, _horizon_of(settings.event_retention_days, now))


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
    """Sets the TTL of `events` as the settings demand. Returns True if that changed it.

    Events that expired under the previous setting are gone for good, so their horizon is recorded first.
    """
    current, wanted = _ttl_days(warehouse, "events") or 0, settings.event_retention_days
    if current == wanted:
        return False
    if current:
        mutation_journal.record_done(warehouse, identity, KIND, {"horizon": _horizon_of(current, now)})
    change = f"modify ttl toDateTime(intDiv(seq, 1000000)) + interval {wanted:d} day" if wanted else "remove ttl"
    warehouse.command(f"alter table {warehouse.database}.events {change}")
    return True


def apply_audit_retention(warehouse: Warehouse, settings: Settings) -> bool:
    """Sets the TTL of the audit log as the settings demand. Returns True if that changed it."""
    current, wanted = _ttl_days(warehouse, AUDIT_TABLE), settings.audit_retention_days
    if current is None or current == wanted:
        return False
    change = f"modify ttl toDateTime(time) + interval {wanted:d} day" if wanted else "remove ttl"
    warehouse.command(f"alter table {warehouse.database}.{AUDIT_TABLE} {change}")
    return True


def _ttl_days(warehouse: Warehouse, table: str) -> int | None:
    """The days of a table's TTL, 0 without one; None if there is no such table that could have one."""
    sql = (
        "select create_table_query from system.tables where database = {database:String} and name = {table:String}"
        " and engine like '%MergeTree'"
    )
    definitions = warehouse.trusted_rows(sql, {"database": warehouse.database, "table": table}).data
    if not definitions:
        return None
    ttl = re.search(r"TTL .*toIntervalDay\((\d+)\)", str(definitions[0][0]))
    return int(ttl[1]) if ttl else 0


def _horizon_of(days: int, now: datetime) -> int:
    return int((now - timedelta(days=days) + MARGIN).timestamp() * 1_000_000) if days else 0
