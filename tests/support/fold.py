"""The count tables in plain Python, from their definitions: the reference for every way of storing a stream."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from alsobought.storage.warehouse import Warehouse

MAX_RANK_DISTANCE = {"co_baskets": 100, "co_purchases": 20, "co_views": 20}  # between the items of a pair
ALL = "all items"


@dataclass(frozen=True)
class StoredEvent:
    """One stored event, in the order of seq."""

    event_type: str
    user_id: str
    item_id: str
    timestamp: datetime
    category: str = ""
    order_id: str = ""
    order_size: int = 0
    session_id: str = ""
    quantity: int = 1
    price: Decimal = Decimal(0)
    properties: Mapping[str, Any] | str = ""  # decoded; an empty string if there are none
    recommendation_id: str = ""
    position: int = 0
    placement: int = 0
    recommended_at: datetime | str = ""

    @property
    def place(self) -> str:
        """The place in its properties, if that is a short string or an integer."""
        place = "" if isinstance(self.properties, str) else self.properties.get("place", "")
        valid = type(place) in (str, int) and len(str(place).encode()) <= 256
        return str(place) if valid else ""


SILENT = ("impression", "refunded_purchase")  # types of events that are no voice

Group = dict[str, StoredEvent]  # the first event of each item in an order, of a user or in a session, in order


def fold(events: Sequence[StoredEvent]) -> dict[str, dict[Any, Any]]:
    """{table: {key: values}} of these events."""
    user_items: dict[Any, list[datetime]] = defaultdict(list)
    item_users: dict[Any, dict[str, list[datetime]]] = defaultdict(lambda: defaultdict(list))
    item_hours: dict[Any, int] = defaultdict(int)
    place_hours: dict[Any, int] = defaultdict(int)
    daily_voices: dict[Any, int] = defaultdict(int)
    hourly_voices: dict[Any, int] = defaultdict(int)
    heard: set[Any] = set()
    user_categories: dict[Any, int] = defaultdict(int)
    user_days: dict[Any, int] = defaultdict(int)
    touches: dict[Any, list[StoredEvent]] = defaultdict(list)
    orders: dict[Any, Group] = defaultdict(dict)
    buyers: dict[Any, Group] = defaultdict(dict)
    sessions: dict[Any, Group] = defaultdict(dict)
    for event in events:
        user_items[event.user_id, event.item_id, event.event_type].append(event.timestamp)
        if event.event_type != "impression":
            order_id = event.order_id if event.event_type == "purchase" else ""
            item_users[event.item_id, event.user_id, event.event_type][order_id].append(event.timestamp)
        hour = event.timestamp.replace(minute=0, second=0, microsecond=0)
        item_hours[hour, event.event_type, event.item_id, event.category] += 1
        if event.place:
            place_hours[event.place, hour, event.event_type, event.item_id] += 1
        voice = (event.user_id, event.timestamp.date(), event.event_type, event.item_id)
        if event.event_type not in SILENT and voice not in heard:
            heard.add(voice)
            daily_voices[voice[1:]] += 1
            for place in {"", event.place}:
                hourly_voices[place, hour, event.event_type, event.item_id] += 1
        user_categories[event.user_id, event.category, event.event_type] += 1
        user_days[event.user_id, event.timestamp.date(), event.event_type, event.item_id] += 1
        if event.placement and event.event_type != "refunded_purchase":
            at, day = event.recommended_at, event.timestamp.date()
            touch = (event.user_id, day, event.recommendation_id, event.item_id, event.event_type, event.placement, at)
            touches[touch].append(event)
        if event.event_type == "purchase":
            buyers[event.user_id].setdefault(event.item_id, event)
            if event.order_id:
                orders[event.user_id, event.order_id].setdefault(event.item_id, event)
        if event.event_type == "view" and event.session_id:
            sessions[event.user_id, event.session_id].setdefault(event.item_id, event)
    return {
        "user_items": {key: (len(times), min(times), max(times)) for key, times in user_items.items()},
        "item_users": {
            key: sorted((len(times), max(times)) for times in orders.values()) for key, orders in item_users.items()
        },
        "item_hours": dict(item_hours),
        "place_hours": dict(place_hours),
        "daily_voices": dict(daily_voices),
        "hourly_voices": dict(hourly_voices),
        "user_categories": dict(user_categories),
        "user_days": dict(user_days),
        "touches": {
            key: (
                min(event.position for event in of_key),
                max(event.session_id for event in of_key),
                min(event.timestamp for event in of_key),
                len(of_key),
            )
            for key, of_key in touches.items()
        },
        "co_baskets": _pairs("co_baskets", orders, _weight),
        "co_purchases": _pairs("co_purchases", buyers),
        "co_views": _pairs("co_views", sessions),
        "item_totals": _totals(orders, buyers, sessions),
        "daily_popularity": _days(events, orders),
    }


def _weight(event: StoredEvent) -> int:
    return round(1e6 / math.sqrt(max(event.order_size, 2)))


def _month(event: StoredEvent) -> date:
    return event.timestamp.date().replace(day=1)


def _pairs(
    table: str, groups: Mapping[Any, Group], weight: Callable[[StoredEvent], int] = lambda _: 0
) -> dict[Any, tuple[int, int]]:
    """{(item, other, month of the later): (groups, weight)}"""
    pairs: dict[Any, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for group in groups.values():
        lines = list(group.values())
        for rank, later in enumerate(lines):
            for earlier in lines[max(0, rank - MAX_RANK_DISTANCE[table]) : rank]:
                for key in ((later.item_id, earlier.item_id), (earlier.item_id, later.item_id)):
                    times, total = pairs[*key, _month(later)]
                    pairs[*key, _month(later)] = (times + 1, total + weight(later))
    return dict(pairs)


def _totals(*kinds: Mapping[Any, Group]) -> dict[Any, list[int]]:
    """{(item, month of the group's first event with it): [orders, buyers, sessions]}"""
    totals: dict[Any, list[int]] = defaultdict(lambda: [0, 0, 0])
    for kind, groups in enumerate(kinds):
        for group in groups.values():
            for item, first in [*group.items(), (ALL, next(iter(group.values())))]:
                totals[item, _month(first)][kind] += 1
    return dict(totals)


def _days(events: Sequence[StoredEvent], orders: Mapping[Any, Group]) -> dict[Any, list[Any]]:
    """{(day, event_type, item): [events, orders, quantity, revenue]}"""
    days: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, 0, Decimal(0)])
    for event in events:
        for item in (event.item_id, ALL):
            row = days[event.timestamp.date(), event.event_type, item]
            row[0] += 1
            row[2] += event.quantity
            row[3] += event.quantity * event.price
    for order in orders.values():
        for item, first in [*order.items(), (ALL, next(iter(order.values())))]:
            days[first.timestamp.date(), "purchase", item][1] += 1
    return dict(days)


def tables(warehouse: Warehouse) -> dict[str, dict[Any, Any]]:
    """The same from the count tables, aggregated as their comments prescribe."""
    database = warehouse.database

    def rows(sql: str) -> list[list[Any]]:
        return warehouse.rows(sql.replace("{database}", database)).data

    ids = {row[0]: row[1] for row in rows("select item_key, any(item_id) from {database}.item_ids group by item_key")}
    ids[0] = ALL

    def pairs(table: str, counted: str, weight: str = "0") -> dict[Any, tuple[int, int]]:
        sql = f"select item_key, other_item_key, month, sum({counted}) as n, {weight} from {{database}}.{table}"
        return {
            (ids[row[0]], ids[row[1]], date.fromisoformat(row[2])): (row[3], row[4])
            for row in rows(f"{sql} group by all having n != 0")
        }

    return {
        "user_items": {
            (row[0], row[1], row[2]): (row[3], _time(row[4]), _time(row[5]))
            for row in rows(
                "select user_id, item_id, event_type, sum(events), min(first_time), max(last_time)"
                " from {database}.user_items group by all"
            )
        },
        "item_users": {
            (ids[row[0]], row[1], row[2]): sorted((events, _time(last)) for events, last in row[3])
            for row in rows(
                "select item_key, user_id, event_type, groupArray((times, latest)) from ("
                " select item_key, user_id, event_type, order_id, sum(events) as times, max(last_time) as latest"
                " from {database}.item_users group by all) group by all"
            )
        },
        "item_hours": {
            (_time(row[0]), row[1], ids[row[2]], row[3]): row[4]
            for row in rows(
                "select hour, event_type, item_key, category, sum(events) as n"
                " from {database}.item_hours group by all having n != 0"
            )
        },
        "place_hours": {
            (row[0], _time(row[1]), row[2], ids[row[3]]): row[4]
            for row in rows(
                "select place, hour, event_type, item_key, sum(events) as n"
                " from {database}.place_hours group by all having n != 0"
            )
        },
        "daily_voices": {
            (date.fromisoformat(row[0]), row[1], ids[row[2]]): row[3]
            for row in rows(
                "select day, event_type, item_key, sum(voices) as n"
                " from {database}.daily_voices group by all having n != 0"
            )
        },
        "hourly_voices": {
            (row[0], _time(row[1]), row[2], ids[row[3]]): row[4]
            for row in rows(
                "select place, hour, event_type, item_key, sum(voices) as n"
                " from {database}.hourly_voices group by all having n != 0"
            )
        },
        "user_categories": {
            (row[0], row[1], row[2]): row[3]
            for row in rows(
                "select user_id, category, event_type, sum(events) as n"
                " from {database}.user_categories group by all having n != 0"
            )
        },
        "user_days": {
            (row[0], date.fromisoformat(row[1]), row[2], ids[row[3]]): row[4]
            for row in rows(
                "select user_id, day, event_type, item_key, sum(events) as n"
                " from {database}.user_days group by all having n != 0"
            )
        },
        "touches": {
            (row[0], date.fromisoformat(row[1]), row[2], ids[row[3]], row[4], row[5], _time(row[6])): (
                row[7],
                row[8],
                _time(row[9]),
                row[10],
            )
            for row in rows(
                "select user_id, day, recommendation_id, item_key, event_type, placement, recommended_at, min(position),"
                " max(session_id), min(first_time), sum(events) as n from {database}.touches group by all having n != 0"
            )
        },
        "co_baskets": pairs("co_baskets", "baskets", "sum(weight)"),
        "co_purchases": pairs("co_purchases", "buyers"),
        "co_views": pairs("co_views", "sessions"),
        "item_totals": {
            (ids[row[0]], date.fromisoformat(row[1])): row[2:]
            for row in rows(
                "select item_key, month, sum(orders) as o, sum(buyers) as b, sum(sessions) as s from {database}.item_totals"
                " group by all having o != 0 or b != 0 or s != 0"
            )
        },
        "daily_popularity": {
            (date.fromisoformat(row[0]), row[1], ids[row[2]]): [*row[3:6], Decimal(str(row[6]))]
            for row in rows(
                "select day, event_type, item_key, sum(events) as n, sum(orders), sum(quantity), sum(revenue)"
                " from {database}.daily_popularity group by all having n != 0"
            )
        },
    }


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
