"""Replay the log up to the split, through the writer that serves, into a warehouse of its own."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from alsobought.evaluation.baskets import PURCHASE
from alsobought.evaluation.log import Collector, Log, Split
from alsobought.evaluation.sources import Source
from alsobought.events import Event
from alsobought.items import Item
from alsobought.loading.submitter import Submitter
from alsobought.migrations.files import migrations
from alsobought.pipes.library import Library
from alsobought.service.maintenance import finish_serving_tables
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.storage.folder_lock import refuse_if_held
from alsobought.storage.topology import node_settings
from alsobought.writer.submission import Submission

COMPLETE_MARKER = "replayed"  # a file that is created when all events are stored
LEARNED_FILE = "learned.json"  # what was learned on a kept replay
SOURCE = "evaluation"
QUERY_SECONDS = 60.0  # a batch of many keys is one query

# Takes title, total and unit; yields the function that advances the bar.
Progress = Callable[[str, int, str], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True)
class Replay:
    """A service at the moment of the split, with the log and the catalogue it was made from.

    `key` is a hash of all three. `folder` is where it is kept, None in memory. `learned` has what was learned on it: summaries by
    learner and version.
    """

    service: Service
    log: Log
    items: dict[str, Item]
    key: str = ""
    folder: Path | None = None
    learned: dict[str, str] = field(default_factory=dict)

    def category(self, item_id: str) -> str:
        item = self.items.get(item_id)
        return item.category or "" if item else ""


@contextmanager
def open_replay(
    settings: Settings,
    source: Source,
    split: Split,
    keep: Path | None,
    needs_events: Callable[[Library], bool],
    progress: Progress,
    event_type: str = PURCHASE,
) -> Iterator[Replay]:
    """The service at the split, kept in the folder `keep` for later runs.

    `needs_events` is called with the pipes before the replay, so that it can raise; if it returns False, no event is
    stored. Raises WarehouseFault, MigrationFault, NotStored.
    """
    key = _cache_key(settings, source, split)
    folder = keep / key if keep else None
    complete = folder is not None and (folder / COMPLETE_MARKER).exists()
    if folder and folder.exists() and not complete:
        refuse_if_held(folder)
        shutil.rmtree(folder)  # of a killed run
    service = open_service(_replay_settings(settings, folder), lambda: split.train_before)
    try:
        store = needs_events(service.library) and not complete
        log, items = _read_log(service, source, Collector(split, event_type), progress, store=store)
        if folder and store:
            (folder / COMPLETE_MARKER).touch()
        yield Replay(service, log, items, key, folder, read_learned(folder) if folder else {})
    finally:
        if not folder:  # the engine in memory outlives the service: the next split needs an empty database
            service.stop()
            service.warehouse.command(f"drop database {service.warehouse.database} sync")
        service.close()


def read_learned(folder: Path) -> dict[str, str]:
    """What was learned on a kept replay: summaries by learner and version."""
    path = folder / LEARNED_FILE
    return msgspec.json.decode(path.read_bytes(), type=dict[str, str]) if path.exists() else {}


def _read_log(
    service: Service, source: Source, collector: Collector, progress: Progress, *, store: bool
) -> tuple[Log, dict[str, Item]]:
    """Reads the log once, for the columns and, with `store`, for the writer."""
    split, submitter = collector.split, Submitter(service.writer)
    items = source.catalogue(split.train_before)
    if store:
        submitter.send(Submission(items, SOURCE))
    with progress("Replaying the log" if store else "Reading the log", source.size(split.end), "events") as advance:
        for batch in source.batches(split.end):
            collector.add(batch)
            if store:
                submitter.send(Submission(_events_before(batch, split), SOURCE))
            advance(len(batch))
        submitter.finish()
    if store:
        finish_serving_tables(service.do, progress)
    return collector.log(), {item.item_id: item for item in items}


def _events_before(batch: Iterable[Event], split: Split) -> list[Event]:
    """Without event ids: duplicates were dropped when the events were first stored."""
    return [
        msgspec.structs.replace(event, event_id="")
        for event in batch
        if event.timestamp < split.train_before  # type: ignore[operator]
    ]


def _replay_settings(settings: Settings, folder: Path | None) -> Settings:
    """The shop's settings, with a warehouse of its own that accepts old events and long queries."""
    return msgspec.structs.replace(
        node_settings(settings, f"chdb://{folder.resolve()}" if folder else "chdb://:memory:"),
        database="evaluation",
        kafka="",
        record_requests=False,
        event_retention_days=0,
        query_seconds=QUERY_SECONDS,
    )


def _cache_key(settings: Settings, source: Source, split: Split) -> str:
    """Depends on the log, the day of the split, and the migrations."""
    digest = hashlib.sha256(source.digest.encode())
    for migration in migrations(settings.home_folder / "migrations"):
        digest.update(migration.checksum.encode())
    return f"{source.digest[:16]}-{split.train_before:%Y-%m-%d}-{digest.hexdigest()[:12]}"
