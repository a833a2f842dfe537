"""Open and close the running service: the warehouse, its one writer, and the pipes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from alsobought.access.audit import operator
from alsobought.errors import MigrationFault
from alsobought.migrations import runner
from alsobought.pipes.library import Library
from alsobought.service.maintenance import run_task
from alsobought.service.reject_log import RejectLog
from alsobought.service.sinks import EventSink, KafkaSink, WriterSink
from alsobought.serving.answers import open_library
from alsobought.serving.cached_answers import Answers, CachedAnswers
from alsobought.serving.invalidation import Invalidator, invalidate_users
from alsobought.serving.queries import EMBEDDED_QUERIES, SERVER_QUERIES, Queries
from alsobought.serving.recommendations import Recommendations
from alsobought.serving.refresher import Refresher
from alsobought.serving.request_log import RequestLog
from alsobought.serving.row_log import InlineTaskRunner, RowLog, TaskRunner
from alsobought.serving.shadows import Shadows
from alsobought.serving.siblings import Siblings
from alsobought.serving.visibility import Follower, Visibility, WriterVisibility
from alsobought.settings import Settings
from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.cluster import ClusterWarehouse, open_any, parts_of
from alsobought.storage.dropped_events import TABLE, DroppedEvents
from alsobought.storage.variants import CatalogueVariants
from alsobought.storage.warehouse import Warehouse
from alsobought.surfaces.live import LiveSurfaces
from alsobought.writer.sharded import AnyWriter, ShardedWriter, writers_of
from alsobought.writer.submission import utc_now
from alsobought.writer.writer import Writer

log = logging.getLogger(__name__)
_starting = threading.Lock()


@dataclass(frozen=True)
class Service:
    """`visibility` tracks how far the answers have come; `sink` accepts posted events, items and users."""

    settings: Settings
    warehouse: ClickHouseWarehouse
    writer: AnyWriter
    library: Library
    clock: Callable[[], datetime]
    cache: Answers
    visibility: Visibility
    sink: EventSink
    request_log: RequestLog | None
    recommendations: Recommendations
    reject_log: RejectLog
    drop_log: RowLog[DroppedEvents]
    answers: CachedAnswers
    surfaces: LiveSurfaces
    shadows: Shadows
    refresher: Refresher

    def do(self, task: str, *arguments: Any) -> Any:
        """Run a maintenance task (`service.maintenance`) on the writer and return its result.

        Where another process stores the events, this starts the writer here, which then waits for
        the lease; afterwards the cached answers of all processes of this service know the change.
        """
        with _starting:
            if not self.writer.started:
                self.writer.start()
        result = run_task(self.writer, task, *arguments)
        if isinstance(self.visibility, Follower):
            self.visibility.refresh()
        return result

    @property
    def writers(self) -> Sequence[Writer]:
        """The writers of the shards of a cluster, or the one that there is."""
        return writers_of(self.writer)

    @property
    def waiting(self) -> int:
        """The number of events, items and users that wait for Kafka or for the writer."""
        return self.sink.waiting + self.writer.waiting

    def stop(self) -> None:
        """Store the waiting rows and stop the threads."""
        self.sink.close()
        self.shadows.shutdown()
        if self.request_log:
            self.request_log.stop()
        self.recommendations.stop()
        self.reject_log.stop()
        self.drop_log.stop()
        self.visibility.stop()
        self.refresher.shutdown()
        self.writer.stop()

    def close(self) -> None:
        """Stop, and release the data folder."""
        self.stop()
        self.warehouse.close()


def open_service(
    settings: Settings,
    clock: Callable[[], datetime] = utc_now,
    *,
    writes: bool = True,
    create: bool = True,
    siblings: Siblings | None = None,
) -> Service:
    """Open the service; an embedded warehouse is migrated, since no other process can do it.

    Without `writes` the writer does not start: another process stores the events, and this one
    follows it, as its `siblings` do. Without `create` the warehouse must exist.

    Raises WarehouseFault, MigrationFault.
    """
    warehouse = open_any(settings, create=create)
    try:
        for one in parts_of(warehouse):
            _migrate(one, settings)
        writer: AnyWriter
        if isinstance(warehouse, ClusterWarehouse):
            writer = ShardedWriter(warehouse, settings, clock)
        else:
            writer = Writer(warehouse, settings, clock)
        refresher = Refresher()
        cache = Answers(submit=refresher.submit)
        variants = CatalogueVariants(warehouse)
        cache.on_clear = variants.forget  # it is cleared after each reload of the catalogue
        writer.when_rewritten(cache.clear)
        visibility: Visibility
        if writes:
            visibility = WriterVisibility(writer, cache)
            writer.listen(lambda one: Invalidator(one.warehouse, cache), partial(invalidate_users, cache), cache.clear)
            writer.start()
        else:
            visibility = Follower(parts_of(warehouse), cache, siblings)
        sink: EventSink = WriterSink(writer)
        if settings.kafka:
            from alsobought.kafka.producer import LogProducer  # not needed without Kafka

            sink = KafkaSink(LogProducer(settings), warehouse, visibility, clock, settings)
        runner_of_logs: TaskRunner = writer if writes else InlineTaskRunner(warehouse)
        request_log = RequestLog(runner_of_logs) if settings.record_requests else None
        if request_log:
            request_log.start()
        recommendations = Recommendations(writers_of(writer)[0].recommendations, runner_of_logs)
        recommendations.start()
        reject_log = RejectLog(runner_of_logs)
        reject_log.start()
        drop_log = RowLog[DroppedEvents](runner_of_logs, TABLE, "dropped events", lambda row: row)
        drop_log.start()
        library = open_library(settings, warehouse, variants)
        queries = Queries(warehouse, clock, EMBEDDED_QUERIES if warehouse.embedded else SERVER_QUERIES)
        if isinstance(writer, Writer) and warehouse.embedded:
            writer.storing = queries.reserve
        answers = CachedAnswers(library, queries, cache, lambda: visibility.as_of)
        return Service(
            settings,
            warehouse,
            writer,
            library,
            clock,
            cache,
            visibility,
            sink,
            request_log,
            recommendations,
            reject_log,
            drop_log,
            answers,
            LiveSurfaces(settings.home_folder, library),
            Shadows(answers, request_log, clock),
            refresher,
        )
    except BaseException:
        warehouse.close()
        raise


def _migrate(warehouse: Warehouse, settings: Settings) -> None:
    """Apply the migrations to an embedded warehouse. Raises MigrationFault if a server lacks some."""
    folder = settings.home_folder / "migrations"
    if warehouse.embedded:
        for planned in runner.up(warehouse, folder, by=operator("start")):
            if planned.note:
                log.warning("%s: %s", planned.migration.name, planned.note)
    elif pending := [entry for entry in runner.status(warehouse, folder) if entry.state != "applied"]:
        raise MigrationFault(f"{len(pending)} migrations are not applied", "Run `alsobought migrate up`")
