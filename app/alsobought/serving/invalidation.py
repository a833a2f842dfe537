"""Cache invalidation: which cached answers a stored batch makes stale.

The tags are ANY_EVENT, the users and items of the batch, each also with the type of the event, and
the other items of its orders. The items of recent orders are held in memory; those of older orders
are read from `order_items`, in one query per batch.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from alsobought.errors import AlsoboughtError
from alsobought.serving.cache import Cache, stale_until
from alsobought.storage.sql_text import list_parameter, select_pairs
from alsobought.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

MAX_ORDERS = 20_000  # held in memory
Tag = tuple[str, ...]
ANY_EVENT: Tag = ("any event",)
"""The tag of answers about no user and no item in particular."""
Order = tuple[str, str]
"""user_id and order_id: two users may have orders with the same order_id."""


class StoredEvent(Protocol):
    """The columns of a stored event that invalidation needs."""

    user_id: str
    item_id: str
    order_id: str
    event_type: str


def invalidate_users(cache: Cache[Any], user_ids: Iterable[str], accepted_at: float | None = None) -> None:
    """Attributes of these users changed: answers about them are stale, and those of segments, which are about no user."""
    cache.invalidate({ANY_EVENT, *(("user_id", user_id) for user_id in user_ids)}, stale_until(accepted_at))


class Invalidator:
    """Call it with rows that have been stored, and the monotonic time at which the first of them was accepted.

    Without that time, as for rows that somebody waits for, stale answers are dropped at once.

    Not thread-safe: the writer or the follower calls it, never both.
    """

    def __init__(self, warehouse: Warehouse, cache: Cache[Any]) -> None:
        self._warehouse, self._cache = warehouse, cache
        self._orders: OrderedDict[Order, set[str]] = OrderedDict()

    def __call__(self, rows: Iterable[StoredEvent], accepted_at: float | None = None) -> None:
        deadline = stale_until(accepted_at)
        tags: set[Tag] = {ANY_EVENT}
        changed_orders: dict[Order, set[str]] = {}
        for row in rows:
            for tag in (("user_id", row.user_id), ("item_id", row.item_id)):
                tags |= {tag, (*tag, row.event_type)}
            if row.order_id and row.event_type == "purchase":
                changed_orders.setdefault((row.user_id, row.order_id), set()).add(row.item_id)
        # First: from here on, no answer that was begun before the batch was stored outlives the deadline.
        self._cache.invalidate(tags, deadline)
        try:
            items_of_orders = self._complete(changed_orders)
            others = {item for items in items_of_orders for item in items}
            also: set[Tag] = {("item_id", item) for item in others} | {("item_id", item, "purchase") for item in others}
            if also := also - tags:
                self._cache.invalidate(also, deadline)
        except AlsoboughtError as error:  # the batch is stored: better no cached answer than a stale one
            log.warning("cache cleared: could not read the orders of a batch: %s", error)
            self._cache.clear()

    def _complete(self, changed: dict[Order, set[str]]) -> list[set[str]]:
        """All items of each changed order.

        Nothing can be stale while the cache is empty and no answer is being computed; then earlier items are not read.
        """
        unknown = [order for order in changed if order not in self._orders]
        if unknown and self._cache.in_use:
            for order in unknown:
                self._orders[order] = set()
            for user_id, order_id, earlier in self._read(unknown):
                self._orders[user_id, order_id].update(earlier)
        complete = []
        for order, items in changed.items():
            if order in self._orders:
                self._orders[order].update(items)
                self._orders.move_to_end(order)
                complete.append(self._orders[order])
        while len(self._orders) > MAX_ORDERS:
            self._orders.popitem(last=False)
        return complete

    def _read(self, orders: Sequence[Order]) -> list[list[Any]]:
        database = self._warehouse.database
        sql = f"""
            with
                wanted as (
                    select first, second, cityHash64(first, second) as order_key
                    from ({select_pairs("users", "orders")})
                )
            select
                any(first),
                any(second),
                groupUniqArray(dictGet('{database}.catalogue', 'item_id', item_key))
            from {database}.order_items
            inner join wanted on wanted.order_key = order_items.order_key
            where order_items.order_key in (select order_key from wanted)
            group by wanted.order_key
        """
        users, ids = zip(*orders, strict=True)
        return self._warehouse.trusted_rows(sql, {"users": list_parameter(users), "orders": list_parameter(ids)}).data
