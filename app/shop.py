"""A running shop: the warehouse, the one writer on it, and the pipes that answer from it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from app import migrate
from app.answers import Answers, open_library
from app.errors import MigrationFault
from app.ingest import Row, Writer, utc_now
from app.pipes.library import Library
from app.recorder import Recorder
from app.settings import Settings
from app.warehouse import Warehouse, open_warehouse

ORDERS = 20_000


@dataclass(frozen=True)
class Shop:
    settings: Settings
    warehouse: Warehouse
    writer: Writer
    library: Library
    clock: Callable[[], datetime]
    kept: Answers
    recorder: Recorder | None

    def close(self) -> None:
        """Stores what is waiting and lets the folder go."""
        if self.recorder:
            self.recorder.stop()
        self.writer.stop()
        self.warehouse.close()


def open_shop(settings: Settings, clock: Callable[[], datetime] = utc_now) -> Shop:
    """Opens everything. An embedded warehouse is migrated on the way: nobody else could, while we hold it.

    Raises WarehouseFault, MigrationFault.
    """
    warehouse = open_warehouse(settings)
    try:
        if warehouse.embedded:
            for _ in migrate.up(warehouse, settings.home_folder / "migrations"):
                pass
        elif pending := [
            s for s in migrate.status(warehouse, settings.home_folder / "migrations") if s.state != "applied"
        ]:
            raise MigrationFault(f"{len(pending)} migrations are not applied", "Run `alsobought migrate up`")
        writer = Writer(warehouse, settings, clock)
        kept: Answers = Answers()
        orders = Orders()
        writer.on_stored = lambda rows: kept.touch(touched(rows, orders))
        writer.on_catalogue = kept.clear
        writer.start()
        recorder = Recorder(writer) if settings.record_requests else None
        if recorder:
            recorder.start()
        return Shop(settings, warehouse, writer, open_library(settings, warehouse), clock, kept, recorder)
    except BaseException:
        warehouse.close()
        raise


class Orders(OrderedDict[tuple[str, str], set[str]]):
    """The items of the latest orders: a late line changes what goes with the earlier ones."""


def touched(rows: Iterable[Row], orders: Orders) -> set[tuple[str, str]]:
    """What a batch makes out of date: its users, its items, and the other items of its orders."""
    things: set[tuple[str, str]] = set()
    grown = set()
    for row in rows:
        things.add(("user_id", row.user_id))
        things.add(("item_id", row.item_id))
        if row.order_id and row.event_type == "purchase":
            order = (row.user_id, row.order_id)
            orders.setdefault(order, set()).add(row.item_id)
            orders.move_to_end(order)
            grown.add(order)
    for order in grown:
        things.update(("item_id", item) for item in orders[order])
    while len(orders) > ORDERS:
        orders.popitem(last=False)
    return things
