"""Find a recorded request by its request id or its recommendation id, and what users did with its items later."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from alsobought.errors import BadRequest, NoSuchRequest
from alsobought.recommendation_ids import EPOCH, LENGTH, RecommendationIds
from alsobought.serving.interleaving import OF
from alsobought.serving.request_log import ShownList
from alsobought.settings import Settings
from alsobought.storage.identities import accounts_of
from alsobought.storage.sql_text import list_parameter, select_list, time_text
from alsobought.storage.warehouse import Warehouse

ID = re.compile(r"[A-Za-z0-9_.=-]{1,64}")
RECOMMENDATION_ID = re.compile(rf"[A-Za-z0-9_-]{{{LENGTH}}}")
_STEPS = {name: step for step, name in enumerate(("impression", "click", "view", "add_to_cart", "purchase"))}
COLUMNS = ", ".join([*ShownList.__struct_fields__, "parameters", "kept"])


class RecordedList(ShownList):
    """A list as the table `requests` has it. `parameters` is None where they were too long to be recorded."""

    parameters: Mapping[str, Sequence[Any]] | None
    cached: bool

    @property
    def teams(self) -> list[str]:
        """The variant that picked each item of an interleaved list; empty where none did."""
        return [source.rpartition(OF)[0] for source in self.sources]

    @property
    def pipes(self) -> list[str]:
        """The pipe of each item, as far as it was recorded."""
        return [source.rpartition(OF)[2] for source in self.sources]

    @property
    def users(self) -> list[str]:
        """Whom the request named: a user, or a guest by the session."""
        parameters = self.parameters or {}
        return [str(value) for name in ("user_id", "session_id") for value in parameters.get(name, [])]


@dataclass(frozen=True)
class LaterEvent:
    """The first event of a type with an item of the list. With `linked` it brought the recommendation id back."""

    item_key: str
    event_type: str
    time: datetime
    linked: bool


def recorded_lists(
    warehouse: Warehouse, settings: Settings, ids: RecommendationIds, text: str, now: datetime
) -> list[RecordedList]:
    """The lists of one request, those that were shown first; of a recommendation id, that list.

    Raises BadRequest for what cannot be an id, NoSuchRequest with the reason.
    """
    if not ID.fullmatch(text):
        raise BadRequest(
            f"{text[:64]!r} is neither a request id nor a recommendation id",
            "Take request_id or recommendation_id of an answer; it has letters, digits and . _ - only",
        )
    sql = (
        f"select {COLUMNS} from {warehouse.database}.requests where request_id = {{id:String}} or"
        " recommendation_id = {id:String} order by shadow_of != '', time desc, surface, pipe limit 100"
    )
    rows = warehouse.trusted_rows(sql, {"id": text}).dicts()
    if not rows:
        raise _not_recorded(warehouse, settings, ids, text, now)
    return [_recorded(row) for row in rows]


def later_events(warehouse: Warehouse, row: RecordedList, settings: Settings) -> list[LaterEvent]:
    """What happened to the items, the first first: touches, by whichever user, and purchases of the user without the id."""
    database, keys = warehouse.database, "toString(item_key)"
    days = timedelta(days=settings.recommendation_days + 1)
    events: list[LaterEvent] = []
    users = row.users
    if row.recommendation_id:
        sql = (
            f"select {keys}, event_type, toString(min(first_time)), groupUniqArray(user_id) from {database}.touches"
            " where recommendation_id = {id:String} and day between toDate({since:String}) and toDate({until:String})"
            " group by item_key, event_type order by all"
        )
        bounds = {"since": f"{row.time - timedelta(days=1):%F}", "until": f"{row.time + days:%F}"}
        for key, event_type, time, by in warehouse.trusted_rows(sql, {"id": row.recommendation_id, **bounds}).data:
            events.append(LaterEvent(key, event_type, _moment(time), linked=True))
            users = [*users, *by]
    users = sorted({*users, *accounts_of(warehouse, users).values()}) if users else []
    if users and row.item_ids:
        sql = (
            f"select toString(cityHash64(item_id)) as key, toString(min(timestamp)) from {database}.events"
            f" where user_id in ({select_list('users')}) and item_id in ({select_list('items')})"
            " and event_type = 'purchase' and timestamp between toDateTime64({since:String}, 3, 'UTC')"
            " and toDateTime64({until:String}, 3, 'UTC') group by key order by key"
        )
        window = timedelta(days=settings.attribution_days)
        bounds = {"since": time_text(row.time), "until": time_text(row.time + window)}
        lists = {"users": list_parameter(users), "items": list_parameter(row.item_ids)}
        bought = {event.item_key for event in events if event.event_type == "purchase"}
        for key, time in warehouse.trusted_rows(sql, {**lists, **bounds}).data:
            if key not in bought:
                events.append(LaterEvent(key, "purchase", _moment(time), linked=False))
    return sorted(events, key=lambda event: (event.time, _STEPS.get(event.event_type, 0)))


def _recorded(row: Mapping[str, Any]) -> RecordedList:
    fields = {name: row[name] for name in ShownList.__struct_fields__} | {"time": _moment(row["time"])}
    for name in ("propensities", "scores", "sources"):
        if len(fields[name]) != len(fields["item_ids"]):  # a row without an item
            fields[name] = []
    parameters = msgspec.json.decode(row["parameters"], type=dict[str, list[Any]]) if row["parameters"] else None
    return RecordedList(**fields, parameters=parameters, cached=bool(row["kept"]))


def _not_recorded(
    warehouse: Warehouse, settings: Settings, ids: RecommendationIds, text: str, now: datetime
) -> NoSuchRequest:
    """Why there is no row, as far as the id, the table `placements` and the settings tell."""
    off = "" if settings.record_requests else "Requests are not recorded now: set ALSOBOUGHT_RECORD_REQUESTS=true"
    retention = f"kept for {settings.request_retention_days} days"
    if not RECOMMENDATION_ID.fullmatch(text):
        hint = f"They are {retention}, and a new one is there after a second"
        return NoSuchRequest(f"no recorded request has the id {text!r}", off or hint)
    at = ids.read(text, now).at
    if at == EPOCH:
        return NoSuchRequest(
            f"no recorded request has the id {text!r}, and it is no recommendation id of this shop",
            off or "Its signature is not valid: it is forged, or ALSOBOUGHT_TOKEN_SECRET has changed since",
        )
    made_by = _placement(warehouse, ids.read(text, at).placement)
    if 0 < settings.request_retention_days < (now - at).days:
        hint = f"Requests are {retention}"
        return NoSuchRequest(f"the request of {at:%F %H:%M} has expired{made_by}", hint)
    hint = "It was erased with its user, dropped because the service was overloaded, or is younger than a second"
    return NoSuchRequest(f"the request of {at:%F %H:%M} is not recorded{made_by}", off or hint)


def _placement(warehouse: Warehouse, placement: int) -> str:
    """`; its list was made by …`, from the table `placements`."""
    sql = (
        f"select surface, pipe, version, experiment, variant from {warehouse.database}.placements final"
        " where placement = toUInt64({placement:String})"
    )
    rows = warehouse.trusted_rows(sql, {"placement": str(placement)}).dicts()
    if not rows:
        return ""
    row = rows[0]
    surface = f" on {row['surface']}" if row["surface"] else ""
    variant = f", variant {row['variant']} of {row['experiment']}" if row["experiment"] else ""
    return f"; its list was that of {row['pipe']}, version {row['version']}{surface}{variant}"


def _moment(value: object) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
