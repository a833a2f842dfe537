"""Read the audit log: its entries by time, actor, action and user, the newest first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from alsobought.access.audit import Entry
from alsobought.errors import BadRequest
from alsobought.storage.identities import user_key
from alsobought.storage.sql_text import time_text
from alsobought.storage.warehouse import AUDIT_TABLE, Warehouse

MAX_ENTRIES = 10_000
COLUMNS = ("via", "actor", "actor_name", "address", "action", "object", "detail", "result", "outcome", "times")


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries. `actor`: an id, a name or an address. `action`: `key.create`, or `key` for all of keys."""

    since: datetime | None = None
    actor: str = ""
    action: str = ""
    user: str = ""
    limit: int = 100


def entries(warehouse: Warehouse, wanted: Filter) -> list[Entry]:
    """The newest entries that match. Raises WarehouseFault."""
    conditions = ["true"]
    parameters: dict[str, Any] = {"limit": min(wanted.limit, MAX_ENTRIES)}
    if wanted.actor:
        conditions.append("{actor:String} in (actor, actor_name, address)")
        parameters["actor"] = wanted.actor
    if wanted.action:
        conditions.append("(action = {action:String} or startsWith(action, concat({action:String}, '.')))")
        parameters["action"] = wanted.action
    if wanted.user:
        conditions.append("has(splitByChar(' ', object), {user:String})")
        parameters["user"] = user_key(warehouse, wanted.user)
    since = ""
    if wanted.since:
        since = "where time >= {since:DateTime64(3, 'UTC')}"
        parameters["since"] = time_text(wanted.since)
    columns = ", ".join(f"max(log.{name}) as {name}" for name in COLUMNS)
    table = f"{warehouse.database}.{AUDIT_TABLE}"
    sql = (
        f"select * from (select time, entry_id, max(finished_at) as finished_at, {columns}"
        f" from {table} as log {since} group by time, entry_id) where {' and '.join(conditions)}"
        " order by time desc, entry_id limit {limit:UInt32}"
    )
    return [_entry(row) for row in warehouse.trusted_rows(sql, parameters).dicts()]


def _entry(row: Mapping[str, Any]) -> Entry:
    finished = _time(row["finished_at"])
    return Entry(
        id=row["entry_id"],
        time=_time(row["time"]),
        via=row["via"],
        actor=row["actor"],
        actor_name=row["actor_name"],
        address=row["address"],
        action=row["action"],
        object=row["object"],
        detail={**_fields(row["detail"]), **_fields(row["result"])},
        outcome=row["outcome"],
        finished_at=finished if finished.timestamp() else None,
        times=int(row["times"]),
    )


def _fields(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any]) if text else {}


def _time(value: object) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def read_since(text: str, now: datetime | None = None) -> datetime:
    """The time that `7d`, `24h`, `30m` or `2026-03-01` means. Raises BadRequest.

    >>> read_since("7d", datetime(2026, 3, 8, tzinfo=UTC)), read_since("2026-03-01").hour
    (datetime.datetime(2026, 3, 1, 0, 0, tzinfo=datetime.timezone.utc), 0)
    """
    if ago := re.fullmatch(r"(\d{1,5})([mhd])", text):
        unit = {"m": "minutes", "h": "hours", "d": "days"}[ago[2]]
        return (now or datetime.now(UTC)) - timedelta(**{unit: int(ago[1])})
    try:
        return _time(datetime.fromisoformat(text))
    except ValueError as error:
        raise BadRequest(f"since: {text[:40]!r} is not a time", "Write 7d, 24h, 30m or 2026-03-01") from error
