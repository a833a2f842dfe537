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
from alsobought.service.sinks import Direct, Logged, Posts
from alsobought.serving.answers import Answers, open_library
from alsobought.serving.invalidation import Touching
from alsobought.serving.request_log import AtOnce, Recorder
from alsobought.serving.visibility import Follower, OwnSight, Sight
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse, open_warehouse
from alsobought.writer.submission import utc_now
from alsobought.writer.writer import Writer

_starting = threading.Lock()


@dataclass(frozen=True)
class Shop:
    """`sight` is how far the answers have come; `posts` takes what callers send."""

    settings: Settings
    warehouse: Warehouse
    writer: Writer
    library: Library
    clock: Callable[[], datetime]
    kept: Answers
    sight: Sight
    posts: Posts
    recorder: Recorder | None

    def do(self, errand: str, *arguments: Any) -> Any:
        """What the writer does between two batches (`service.maintenance`), and what that returns.

        Where another process stores the events, the writer of this one starts for it, and takes its turn.
        """
        with _starting:
            if not self.writer.started:
                self.writer.start()
        return do(self.writer, errand, *arguments)

    @property
    def waiting(self) -> int:
        """Events and items that wait for Kafka or for the writer."""
        return self.posts.waiting + self.writer.waiting

    def stop(self) -> None:
        """Stores what is waiting."""
        self.posts.close()
        if self.recorder:
            self.recorder.stop()
        self.sight.stop()
        self.writer.stop()

    def close(self) -> None:
        """The same, and lets the folder go."""
        self.stop()
        self.warehouse.close()


def open_shop(
    settings: Settings, clock: Callable[[], datetime] = utc_now, *, writes: bool = True, create: bool = True
) -> Shop:
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
        kept: Answers = Answers()
        writer.on_rewritten = kept.clear
        sight: Sight
        if writes:
            sight = OwnSight(writer)
            writer.on_stored = Touching(warehouse, kept)
            writer.catalogue.on_read = kept.clear
            writer.start()
        else:
            sight = Follower(warehouse, kept)
        posts: Posts = Direct(writer)
        if settings.kafka:
            from alsobought.kafka.producer import Log  # not needed without Kafka

            posts = Logged(Log(settings), warehouse, sight, clock, settings)
        recorder = Recorder(writer if writes else AtOnce(warehouse)) if settings.record_requests else None
        if recorder:
            recorder.start()
        library = open_library(settings, warehouse)
        return Shop(settings, warehouse, writer, library, clock, kept, sight, posts, recorder)
    except BaseException:
        warehouse.close()
        raise
