"""The count tables in plain Python, from the definitions in the design: what every way of storing a stream must give."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.warehouse import Warehouse

NEIGHBOURS = 100  # ranks in an order that still make a pair


@dataclass(frozen=True)
class Happened:
    """One stored event, in the order of seq."""

    event_type: str
    user_id: str
    item_id: str
    timestamp: datetime
    category: str = ""
    order_id: str = ""
    order_size: int = 0


def fold(events: Sequence[Happened]) -> dict[str, dict[Any, Any]]:
    """{table: {key: values}} of these events."""
    user_items: dict[Any, list[datetime]] = defaultdict(list)
    item_hours: dict[Any, int] = defaultdict(int)
    user_categories: dict[Any, int] = defaultdict(int)
    orders: dict[tuple[str, str], dict[str, Happened]] = defaultdict(dict)
    for event in events:
        user_items[event.user_id, event.item_id, event.event_type].append(event.timestamp)
        hour = event.timestamp.replace(minute=0, second=0, microsecond=0)
        item_hours[hour, event.event_type, event.item_id, event.category] += 1
        user_categories[event.user_id, event.category, event.event_type] += 1
        if event.event_type == "purchase" and event.order_id:
            orders[event.user_id, event.order_id].setdefault(event.item_id, event)
    return {
        "user_items": {key: (len(times), min(times), max(times)) for key, times in user_items.items()},
        "item_hours": dict(item_hours),
        "user_categories": dict(user_categories),
        "co_baskets": _pairs([list(order.values()) for order in orders.values()]),
    }


def _pairs(orders: Sequence[Sequence[Happened]]) -> dict[Any, tuple[int, int]]:
    """{(item, other, month): (baskets, weight)}, an order being the first lines of its items in order."""
    pairs: dict[Any, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for lines in orders:
        for rank, later in enumerate(lines):
            weight = round(1e6 / math.sqrt(max(later.order_size, 2)))
            month = later.timestamp.date().replace(day=1)
            for earlier in lines[max(0, rank - NEIGHBOURS) : rank]:
                for key in ((later.item_id, earlier.item_id), (earlier.item_id, later.item_id)):
                    baskets, total = pairs[*key, month]
                    pairs[*key, month] = (baskets + 1, total + weight)
    return dict(pairs)


def tables(warehouse: Warehouse) -> dict[str, dict[Any, Any]]:
    """The same from the count tables, read as their comments say."""
    database = warehouse.database

    def rows(sql: str) -> list[list[Any]]:
        return warehouse.rows(sql.replace("{database}", database)).data

    ids = {row[0]: row[1] for row in rows("select item_key, any(item_id) from {database}.item_ids group by item_key")}
    return {
        "user_items": {
            (row[0], row[1], row[2]): (row[3], _time(row[4]), _time(row[5]))
            for row in rows(
                "select user_id, item_id, event_type, sum(events), min(first_time), max(last_time)"
                " from {database}.user_items group by all"
            )
        },
        "item_hours": {
            (_time(row[0]), row[1], ids[row[2]], row[3]): row[4]
            for row in rows(
                "select hour, event_type, item_key, category, sum(events) as n"
                " from {database}.item_hours group by all having n != 0"
            )
        },
        "user_categories": {
            (row[0], row[1], row[2]): row[3]
            for row in rows(
                "select user_id, category, event_type, sum(events) as n"
                " from {database}.user_categories group by all having n != 0"
            )
        },
        "co_baskets": {
            (ids[row[0]], ids[row[1]], datetime.fromisoformat(row[2]).date()): (row[3], row[4])
            for row in rows(
                "select item_key, other_item_key, month, sum(baskets) as n, sum(weight)"
                " from {database}.co_baskets group by all having n != 0"
            )
        },
    }


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
