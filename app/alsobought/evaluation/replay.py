"""The log up to a moment, in a warehouse of its own, stored by the writer that serves: what a pipe would have answered then."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from alsobought.evaluation.log import Collector, Log, Split
from alsobought.evaluation.sources import Source
from alsobought.events import Event, Item
from alsobought.loading.submitter import Submitter
from alsobought.migrations.files import migrations
from alsobought.pipes.library import Library
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.storage.folder_lock import refuse_if_held
from alsobought.writer.submission import Submission

WHOLE = "replayed"  # the file that says that all events are in
SOURCE = "evaluation"
PATIENCE = 60.0  # seconds that one question may take: a batch of many is one query

# a title, how many, of what → a context that yields what hears of each that is done
Progress = Callable[[str, int, str], AbstractContextManager[Callable[[int], object]]]


@dataclass(frozen=True)
class Replayed:
    """A shop at the moment of the split, with the log and the catalogue that it was made of."""

    shop: Service
    log: Log
    items: dict[str, Item]

    def category(self, item: str) -> str:
        found = self.items.get(item)
        return found.category if found else ""


@contextmanager
def replayed(
    settings: Settings,
    source: Source,
    split: Split,
    keep: Path | None,
    asks: Callable[[Library], bool],
    progress: Progress,
) -> Iterator[Replayed]:
    """The shop as it was at the split; `keep` is a folder for it. `asks` looks at its pipes before anything takes long, and
    says whether any is asked: else nothing is stored.

    Raises WarehouseFault, MigrationFault, NotStored.
    """
    folder = keep / _key(settings, source, split) if keep else None
    kept = folder is not None and (folder / WHOLE).exists()
    if folder and folder.exists() and not kept:
        refuse_if_held(folder)
        shutil.rmtree(folder)  # of a run that was killed
    shop = open_service(_settings(settings, folder), lambda: split.train_before)
    try:
        needed = asks(shop.library) and not kept
        log, items = _fill(shop, source, split, progress, store=needed)
        if folder and needed:
            (folder / WHOLE).touch()
        yield Replayed(shop, log, items)
    finally:
        if not folder:  # memory is the whole process's: another split gets an empty one
            shop.stop()
            shop.warehouse.command(f"drop database {shop.warehouse.database} sync")
        shop.close()


def _fill(
    shop: Service, source: Source, split: Split, progress: Progress, *, store: bool
) -> tuple[Log, dict[str, Item]]:
    """Reads the log once, for the writer and for the columns; for these alone where nothing is to be stored."""
    collector, submitter = Collector(split), Submitter(shop.writer)
    items = source.items()
    if store:
        submitter.send(Submission(items, SOURCE))
    with progress("Replaying the log" if store else "Reading the log", source.size(split.end), "events") as told:
        for batch in source.batches(split.end):
            collector.add(batch)
            if store:
                submitter.send(Submission(_before(batch, split), SOURCE))
            told(len(batch))
        submitter.finish()
    return collector.log(), {item.item_id: item for item in items}


def _before(batch: Iterable[Event], split: Split) -> list[Event]:
    """As new events: their ids were compared when they were first stored."""
    return [
        msgspec.structs.replace(event, event_id="")
        for event in batch
        if event.timestamp < split.train_before  # type: ignore[operator]
    ]


def _settings(settings: Settings, folder: Path | None) -> Settings:
    """Those of the shop, with a warehouse of its own that takes old events and long questions."""
    return msgspec.structs.replace(
        settings,
        dsn=f"chdb://{folder.resolve()}" if folder else "chdb://:memory:",
        database="evaluation",
        kafka="",
        record_requests=False,
        event_retention_days=0,
        query_seconds=PATIENCE,
    )


def _key(settings: Settings, source: Source, split: Split) -> str:
    """Of the log, the moment, and the tables."""
    made = hashlib.sha256(source.digest.encode())
    for migration in migrations(settings.home_folder / "migrations"):
        made.update(migration.checksum.encode())
    return f"{source.digest[:16]}-{split.train_before:%Y-%m-%d}-{made.hexdigest()[:12]}"
