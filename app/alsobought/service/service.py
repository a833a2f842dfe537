"""A running shop: the warehouse, the one writer on it, and the pipes that answer from it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alsobought.errors import MigrationFault
from alsobought.migrations import runner
from alsobought.pipes.library import Library
from alsobought.service.maintenance import do
from alsobought.service.sinks import EventSink, KafkaSink, WriterSink
from alsobought.serving.answers import Answers, open_library
from alsobought.serving.invalidation import Invalidator
from alsobought.serving.request_log import AtOnce, RequestLog
from alsobought.serving.visibility import Follower, Visibility, WriterVisibility
from alsobought.settings import Settings
from alsobought.storage.clickhouse import ClickHouseWarehouse, open_warehouse
from alsobought.writer.submission import utc_now
from alsobought.writer.writer import Writer

_starting = threading.Lock()


@dataclass(frozen=True)
class Service:
    """`visibility` is how far the answers have come; `sink` takes what callers send."""

    settings: Settings
    warehouse: ClickHouseWarehouse
    writer: Writer
    library: Library
    clock: Callable[[], datetime]
    cache: Answers
    visibility: Visibility
    sink: EventSink
    request_log: RequestLog | None

    def do(self, task: str, *arguments: Any) -> Any:
        """What the writer does between two batches (`service.maintenance`), and what that returns.

        Where another process stores the events, the writer of this one starts for it, and takes its turn.
        """
        with _starting:
            if not self.writer.started:
                self.writer.start()
        return do(self.writer, task, *arguments)

    @property
    def waiting(self) -> int:
        """Events and items that wait for Kafka or for the writer."""
        return self.sink.waiting + self.writer.waiting

    def stop(self) -> None:
        """Stores what is waiting."""
        self.sink.close()
        if self.request_log:
            self.request_log.stop()
        self.visibility.stop()
        self.writer.stop()

    def close(self) -> None:
        """The same, and lets the folder go."""
        self.stop()
        self.warehouse.close()


def open_service(
    settings: Settings, clock: Callable[[], datetime] = utc_now, *, writes: bool = True, create: bool = True
) -> Service:
    """Opens everything. An embedded warehouse is migrated on the way: nobody else could, while we hold it.

    Unless it `writes`, the writer never starts: another process stores the events, and this one follows it. Unless it may
    `create` one, there must be a warehouse.

    Raises WarehouseFault, MigrationFault.
    """
    warehouse = open_warehouse(settings, create=create)
    try:
        if warehouse.embedded:
            list(runner.up(warehouse, settings.home_folder / "migrations"))
        elif pending := [
            s for s in runner.status(warehouse, settings.home_folder / "migrations") if s.state != "applied"
        ]:
            raise MigrationFault(f"{len(pending)} migrations are not applied", "Run `alsobought migrate up`")
        writer = Writer(warehouse, settings, clock)
        cache: Answers = Answers()
        writer.on_rewritten = cache.clear
        visibility: Visibility
        if writes:
            visibility = WriterVisibility(writer)
            writer.on_stored = Invalidator(warehouse, cache)
            writer.catalogue.on_reload = cache.clear
            writer.start()
        else:
            visibility = Follower(warehouse, cache)
        sink: EventSink = WriterSink(writer)
        if settings.kafka:
            from alsobought.kafka.producer import LogProducer  # not needed without Kafka

            sink = KafkaSink(LogProducer(settings), warehouse, visibility, clock, settings)
        request_log = RequestLog(writer if writes else AtOnce(warehouse)) if settings.record_requests else None
        if request_log:
            request_log.start()
        library = open_library(settings, warehouse)
        return Service(settings, warehouse, writer, library, clock, cache, visibility, sink, request_log)
    except BaseException:
        warehouse.close()
        raise
