"""What a batch makes out of date among the kept answers: its users, its items, and the other items of its orders.

The items of the latest orders are remembered; those of an older one are asked of `order_items`, in one query a batch.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from alsobought.errors import AlsoboughtError
from alsobought.serving.cache import Cache
from alsobought.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

ORDERS = 20_000
Order = tuple[str, str]
"""An order belongs to its user: two users may use the same order_id."""


class Happened(Protocol):
    """What counts of a stored event here."""

    user_id: str
    item_id: str
    order_id: str
    event_type: str


class Invalidator:
    """For one thread at a time, the writer's or the follower's: `invalidate(rows)` once they are stored."""

    def __init__(self, warehouse: Warehouse, cache: Cache[Any]) -> None:
        self._warehouse, self._cache = warehouse, cache
        self._orders: OrderedDict[Order, set[str]] = OrderedDict()

    def __call__(self, rows: Iterable[Happened]) -> None:
        tags: set[tuple[str, str]] = set()
        grown: dict[Order, set[str]] = {}
        for row in rows:
            tags.add(("user_id", row.user_id))
            tags.add(("item_id", row.item_id))
            if row.order_id and row.event_type == "purchase":
                grown.setdefault((row.user_id, row.order_id), set()).add(row.item_id)
        self._cache.invalidate(tags)  # first: from here on no answer is kept that was begun before the batch was stored
        try:
            self._cache.invalidate({("item_id", item) for items in self._whole(grown) for item in items} - tags)
        except AlsoboughtError as error:  # the batch is stored: rather no kept answer than an old one
            log.warning("cache cleared: could not read the orders of a batch: %s", error)
            self._cache.clear()

    def _whole(self, grown: dict[Order, set[str]]) -> list[set[str]]:
        """All items of these orders. While no answer is kept nothing can be out of date, and nothing is asked."""
        unknown = [order for order in grown if order not in self._orders]
        if unknown and len(self._cache):
            for order in unknown:
                self._orders[order] = set()
            for user_id, order_id, earlier in self._ask(unknown):
                self._orders[user_id, order_id].update(earlier)
        whole = []
        for order, items in grown.items():
            if order in self._orders:
                self._orders[order].update(items)
                self._orders.move_to_end(order)
                whole.append(self._orders[order])
        while len(self._orders) > ORDERS:
            self._orders.popitem(last=False)
        return whole

    def _ask(self, orders: Sequence[Order]) -> list[list[Any]]:
        database = self._warehouse.database
        sql = f"""
            with
                wanted as (
                    select
                        arrayJoin(arrayZip(splitByChar('\\0', {{users:String}}), splitByChar('\\0', {{orders:String}}))) as place,
                        cityHash64(place.1, place.2) as order_key
                )
            select any(place.1), any(place.2), groupUniqArray(dictGet('{database}.catalogue', 'item_id', item_key))
            from {database}.order_items
            inner join wanted on wanted.order_key = order_items.order_key
            where order_items.order_key in (select order_key from wanted)
            group by wanted.order_key
        """
        users, ids = zip(*orders, strict=True)
        return self._warehouse.trusted_rows(sql, {"users": "\0".join(users), "orders": "\0".join(ids)}).data
