"""The dictionaries in memory: `catalogue`, `owners`, `titles` and `variants`, reloaded when items changed; the first also when an
event has an item that it lacks; and `item_demand`, reloaded every few seconds while items are bought.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

from alsobought.errors import AlsoboughtError
from alsobought.storage.sql_text import list_parameter, select_list
from alsobought.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

RELOAD_SECONDS = 0.5  # a new item shows its name at most this late while events keep coming
OF_ITEMS = ("owners", "titles", "variants")  # the dictionaries that new ids in events do not change
SOURCES = ("items", "item_ids", "item_totals", "daily_popularity")  # the tables that the dictionaries are made from
DEMAND_PAUSE = 50  # the demand is reloaded this many times as far apart as a reload takes: that is 2 % of a core


def reload_dictionaries(
    warehouse: Warehouse,
    names: Iterable[str] = (*OF_ITEMS, "catalogue", "item_demand"),
    *,
    everywhere: bool = True,
) -> None:
    """On each replica; of a cluster on every node, or on those of the shard alone. Raises WarehouseFault."""
    if warehouse.cluster:
        warehouse.cluster.reload([*names], everywhere=everywhere)
        return
    statements = [f"system reload dictionary {warehouse.database}.{name}" for name in names]
    for statement in statements:
        warehouse.command(statement)
    if warehouse.replicated:
        sources = [f"system sync replica {warehouse.database}.{table} lightweight" for table in SOURCES]
        warehouse.command_on_peers(*sources, *statements)


class Catalogue:
    """For the writer's thread. `pending_ids` are items of stored events that the dictionary may lack.

    After a reload it calls `on_reload` if items changed, which any answer may show, else `on_new_ids`.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._reloaded_at = 0.0
        self.items_changed = False
        self.pending_ids: set[str] = set()
        self.demand_changed = True  # at the start, so that no caller waits for the first load
        self._demand_due = 0.0
        self.on_reload: Callable[[], None] = lambda: None
        self.on_new_ids: Callable[[], None] = lambda: None

    def refresh(self, *, idle: bool) -> None:
        """Reloads if anything is new; at most every RELOAD_SECONDS unless the writer is idle."""
        self.refresh_demand()
        if not idle and time.monotonic() - self._reloaded_at < RELOAD_SECONDS:
            return
        try:
            if self.items_changed or (self.pending_ids and self._any_missing()):
                self.reload()
            self.pending_ids.clear()
        except AlsoboughtError as error:  # the events are stored all the same; names come with the next batch
            log.warning("the catalogue was not reloaded: %s", error)

    def reload(self) -> None:
        """Raises WarehouseFault."""
        # `catalogue` last: processes beside this one see by its time that all are new (`serving.visibility`).
        names = [*(OF_ITEMS if self.items_changed else ()), "catalogue"]
        # Each shard stores items that changed and reloads its own nodes; an id in an event is new to the others, too.
        reload_dictionaries(self._warehouse, names, everywhere=bool(self.pending_ids))
        changed, self.items_changed = self.items_changed, False
        self._reloaded_at = time.monotonic()
        (self.on_reload if changed else self.on_new_ids)()

    def refresh_demand(self) -> None:
        """Reloads the demand if items were bought, and the last reload is long enough ago."""
        started = time.monotonic()
        if not self.demand_changed or started < self._demand_due:
            return
        self.demand_changed = False
        try:
            reload_dictionaries(self._warehouse, ["item_demand"])
        except AlsoboughtError as error:
            log.warning("the demand was not reloaded: %s", error)
        ended = time.monotonic()
        self._demand_due = ended + DEMAND_PAUSE * (ended - started)

    def _any_missing(self) -> bool:
        sql = (
            f"select count() from ({select_list('items')})"
            f" where not dictHas('{self._warehouse.database}.catalogue', cityHash64(listed))"
        )
        return bool(self._warehouse.trusted_rows(sql, {"items": list_parameter(self.pending_ids)}).data[0][0])
