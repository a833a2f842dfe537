"""The dictionary `catalogue` is loaded again when items changed or an id is new to it: names are next to free to look up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from alsobought.errors import AlsoboughtError
from alsobought.storage.ledger import LISTED
from alsobought.storage.warehouse import Warehouse

log = logging.getLogger(__name__)

SECONDS = 0.5  # a new item shows its name at most this late while events keep coming


def load_dictionaries(warehouse: Warehouse, *, owners: bool = True) -> None:
    """Loads again what is known of items, and of whose they are. Raises WarehouseFault."""
    for name in ("catalogue", *(["owners"] if owners else [])):
        warehouse.command(f"system reload dictionary {warehouse.database}.{name}")


class Catalogue:
    """For the writer's thread. `seen` are the ids of stored events that may be new to it."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._read_at = 0.0
        self.items_changed = False
        self.seen: set[str] = set()
        self.on_read: Callable[[], None] = lambda: None

    def learn(self, *, idle: bool) -> None:
        """Loads it again if there is something to learn; while events keep coming, not all the time."""
        if not idle and time.monotonic() - self._read_at < SECONDS:
            return
        try:
            if self.items_changed or (self.seen and self._any_unknown()):
                self.read()
            self.seen.clear()
        except AlsoboughtError as error:  # what was stored is stored: names come with the next batch
            log.warning("the catalogue was not reloaded: %s", error)

    def read(self) -> None:
        """Raises WarehouseFault."""
        load_dictionaries(self._warehouse, owners=self.items_changed)
        self.items_changed = False
        self._read_at = time.monotonic()
        self.on_read()

    def _any_unknown(self) -> bool:
        sql = (
            f"select count() from ({LISTED % 'items'})"
            f" where not dictHas('{self._warehouse.database}.catalogue', cityHash64(listed))"
        )
        return bool(self._warehouse.trusted_rows(sql, {"items": "\0".join(self.seen)}).data[0][0])
