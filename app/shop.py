"""A running shop: the warehouse, the one writer on it, and the pipes that answer from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from app import migrate
from app.answers import Answers, open_library
from app.errors import MigrationFault
from app.ingest import Writer
from app.intake import utc_now
from app.pipes.library import Library
from app.recorder import Recorder
from app.settings import Settings
from app.touched import Touching
from app.warehouse import Warehouse, open_warehouse


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
            list(migrate.up(warehouse, settings.home_folder / "migrations"))
        elif pending := [
            s for s in migrate.status(warehouse, settings.home_folder / "migrations") if s.state != "applied"
        ]:
            raise MigrationFault(f"{len(pending)} migrations are not applied", "Run `alsobought migrate up`")
        writer = Writer(warehouse, settings, clock)
        kept: Answers = Answers()
        writer.on_stored = Touching(warehouse, kept)
        writer.catalogue.on_read = kept.clear
        writer.start()
        recorder = Recorder(writer) if settings.record_requests else None
        if recorder:
            recorder.start()
        return Shop(settings, warehouse, writer, open_library(settings, warehouse), clock, kept, recorder)
    except BaseException:
        warehouse.close()
        raise
