"""Sources of the log: the shop's own events, or a data set of the demos.

A process can have only one embedded warehouse, and here that is the replay. So another process writes the shop's own
events to a file (`evaluation.shop_log`).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from alsobought.demo import journey, toyshop
from alsobought.demo.datasets.contents import Dataset, Oracle
from alsobought.demo.datasets.names import DATASETS
from alsobought.errors import Unusable
from alsobought.evaluation.log import Split, time_of
from alsobought.evaluation.shop_log import Head, LoggedEvent
from alsobought.events import Event, Rules, read_events
from alsobought.items import Item, read_items
from alsobought.settings import Settings

BATCH_EVENTS = 50_000
TOYSHOP_UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
MAX_ITEM_BYTES = 65_536


@dataclass(frozen=True)
class Source:
    """A log: `items` returns the catalogue, `batches` the events before a moment in the order in which they are stored.

    `digest` identifies the log, `size` estimates the number of events, `ends` is after the newest one. No window may
    extend beyond `reserved`. `items_at` returns the catalogue of a moment, where it is known. The `oracle` knows the truth of
    generated data.
    """

    name: str
    digest: str
    ends: datetime
    items: Callable[[], list[Item]]
    batches: Callable[[datetime], Iterator[list[Event]]]
    size: Callable[[datetime], int]
    reserved: datetime | None = None
    items_at: Callable[[datetime], list[Item]] | None = None
    oracle: Oracle | None = None

    def catalogue(self, at: datetime) -> list[Item]:
        """The catalogue of a moment if it is known, else the current one."""
        return self.items_at(at) if self.items_at else self.items()

    def split(self, train_before: datetime | None, days: int) -> Split:
        """The split at this moment, by default the one that predicts the last `days`.

        Raises Unusable for a window that is reserved or has no events.
        """
        newest = min(self.ends, self.reserved) if self.reserved else self.ends
        split = Split(train_before or _midnight(newest) - timedelta(days=days), days)
        if self.reserved and split.end > self.reserved:
            latest = self.reserved - timedelta(days=days)
            raise Unusable(
                f"the {days} days from {split.train_before:%Y-%m-%d} on extend beyond {self.reserved:%Y-%m-%d}; from that day on"
                " the Complete Journey is reserved for a final measurement",
                f"Use --train-before {latest:%Y-%m-%d} or earlier, or fewer --days",
            )
        if split.train_before >= self.ends:
            raise Unusable(
                f"{self.name} has no event from {split.train_before:%Y-%m-%d} or later",
                f"The newest is from {self.ends:%Y-%m-%d}: use an earlier --train-before",
            )
        return split


@contextmanager
def open_source(settings: Settings, dataset: str | None) -> Iterator[Source]:
    """The data set of this name, or the shop's own log.

    Raises Unusable if there is none, if it cannot be downloaded, or if the shop's log cannot be read.
    """
    if dataset == "journey":
        yield _journey()
    elif dataset == "toyshop":
        yield _toyshop()
    elif dataset:
        yield _of_dataset(dataset)
    else:
        with TemporaryDirectory(prefix="alsobought-") as folder:
            yield _own(settings, Path(folder) / "log.ndjson")


def _midnight(moment: datetime) -> datetime:
    """The first midnight at or after a moment.

    >>> _midnight(datetime(2026, 1, 1, 12, tzinfo=UTC)).isoformat()
    '2026-01-02T00:00:00+00:00'
    """
    midnight = datetime.combine(moment.date(), time(), UTC)
    return midnight if midnight == moment else midnight + timedelta(days=1)


def _journey() -> Source:
    """The year as published, without shifted times."""

    def batches(before: datetime) -> Iterator[list[Event]]:
        size = journey.size(before)
        for first in range(0, size, BATCH_EVENTS):
            yield journey.events(0, first, min(BATCH_EVENTS, size - first))

    ends = journey.last_time(0)
    return Source(
        "the Complete Journey", "journey", ends, lambda: list(journey.items()), batches, journey.size, _reserved(0)
    )


def _reserved(weeks: int) -> datetime:
    return datetime.combine(journey.RESERVED_FROM, time(), UTC) + timedelta(weeks=weeks)


def _toyshop() -> Source:
    objects = [msgspec.json.encode(event) for event in toyshop.history(TOYSHOP_UNTIL)]
    events, _ = read_events(objects, Rules(TOYSHOP_UNTIL))
    items, _ = read_items([msgspec.json.encode(item) for item in toyshop.items()], MAX_ITEM_BYTES)

    def batches(before: datetime) -> Iterator[list[Event]]:
        yield [event for event in events if isinstance(event.timestamp, datetime) and event.timestamp < before]

    return Source("the toy shop", "toyshop", TOYSHOP_UNTIL, lambda: items, batches, lambda _: len(events))


def _of_dataset(name: str) -> Source:
    """A public or generated data set."""
    from alsobought.demo.datasets.registry import REGISTRY

    if name not in REGISTRY:
        raise Unusable(f"there is no data set {name!r}", f"There are {', '.join(DATASETS)}")
    dataset: Dataset = REGISTRY[name]
    contents = dataset.read()
    events = contents.events
    times = [time_of(event) for event in events]

    def batches(before: datetime) -> Iterator[list[Event]]:
        end = bisect_left(times, before)
        for first in range(0, end, BATCH_EVENTS):
            yield list(events[first : min(end, first + BATCH_EVENTS)])

    return Source(
        dataset.title,
        dataset.digest,
        contents.ends + timedelta(milliseconds=1),
        lambda: contents.catalogue(contents.ends),
        batches,
        lambda before: bisect_left(times, before),
        items_at=contents.catalogue,
        oracle=contents.oracle,
    )


# The shop's own log


def _own(settings: Settings, path: Path) -> Source:
    _write_log(settings, path)
    with path.open("rb") as file:
        head = msgspec.json.decode(file.readline(), type=Head)
        if not head.events or head.newest is None:
            raise Unusable("there are no events to evaluate on", "Load events, or use --dataset")
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]

    def batches(before: datetime) -> Iterator[list[Event]]:
        with path.open("rb") as file:
            for _ in range(1 + head.items):
                file.readline()
            yield from _batches(file, before)

    def items() -> list[Item]:
        with path.open("rb") as file:
            file.readline()
            return [msgspec.json.decode(file.readline(), type=Item, strict=False) for _ in range(head.items)]

    reserved = None
    if head.journey:  # the Complete Journey, shifted by whole weeks
        reserved = _reserved(journey.weeks_moved(*head.journey))
    ends = head.newest + timedelta(milliseconds=1)
    return Source("the shop's log", digest, ends, items, batches, lambda _: head.events, reserved)


def _batches(lines: Iterable[bytes], before: datetime) -> Iterator[list[Event]]:
    decode = msgspec.json.Decoder(LoggedEvent).decode
    batch: list[Event] = []
    for text in lines:
        event = decode(text).event()
        if isinstance(event.timestamp, datetime) and event.timestamp < before:
            batch.append(event)
        if len(batch) >= BATCH_EVENTS:
            yield batch
            batch = []
    if batch:
        yield batch


def _write_log(settings: Settings, path: Path) -> None:
    """Writes the log to a file, in a process of its own. Raises Unusable with its last line of output."""
    settings = msgspec.structs.replace(settings, data=str(settings.data_folder))  # relative to this process's folder
    result = subprocess.run(  # noqa: S603
        [sys.executable, "-P", "-m", "alsobought.evaluation.shop_log", str(path)],
        input=msgspec.json.encode(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if result.returncode:
        error = result.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise Unusable(error or "could not read the shop's log")
