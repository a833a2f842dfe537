"""Where the log comes from: the shop's own events, or a data set of the demos.

What a reader would guess wrong: a process has one embedded warehouse, and here that is the replayed one. So the shop's own
events are read by another process, or by the one that holds the folder, into a file (`evaluation.shop_log`).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from alsobought.demo import journey, toyshop
from alsobought.errors import Unusable
from alsobought.evaluation.log import Split
from alsobought.evaluation.shop_log import Head, Line
from alsobought.events import Event, Item, Rules, read_events, read_items
from alsobought.settings import Settings

DATASETS = ("journey", "toyshop")
BATCH = 50_000
TOYSHOP_UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
MAX_BYTES = 65_536


@dataclass(frozen=True)
class Source:
    """A log: `items` is the catalogue, `batches` the events before a moment, in the order in which they are stored.

    `digest` tells one log from another, `size` about how many that are, `ends` the moment after the
    newest. No window may reach `reserved`.
    """

    name: str
    digest: str
    ends: datetime
    items: Callable[[], list[Item]]
    batches: Callable[[datetime], Iterator[list[Event]]]
    size: Callable[[datetime], int]
    reserved: datetime | None = None

    def split(self, train_before: datetime | None, days: int) -> Split:
        """The split at this moment, or else one that leaves the last `days` to be foretold.

        Raises Unusable for a window that reaches what is reserved, or that nothing stands in.
        """
        newest = min(self.ends, self.reserved) if self.reserved else self.ends
        split = Split(train_before or _midnight(newest) - timedelta(days=days), days)
        if self.reserved and split.end > self.reserved:
            latest = self.reserved - timedelta(days=days)
            raise Unusable(
                f"the {days} days from {split.train_before:%Y-%m-%d} on reach {self.reserved:%Y-%m-%d}, from where on"
                " the Complete Journey is reserved for a final measurement",
                f"Take --train-before {latest:%Y-%m-%d} or an earlier day, or fewer --days",
            )
        if split.train_before >= self.ends:
            raise Unusable(
                f"no event of {self.name} is from {split.train_before:%Y-%m-%d} or later",
                f"The newest is of {self.ends:%Y-%m-%d}: take an earlier --train-before",
            )
        return split


@contextmanager
def opened(settings: Settings, dataset: str | None) -> Iterator[Source]:
    """The data set of this name, or the shop's own log.

    Raises Unusable where there is none, and what it raises where the shop's cannot be read.
    """
    if dataset == "journey":
        yield _journey()
    elif dataset == "toyshop":
        yield _toyshop()
    else:
        with TemporaryDirectory(prefix="alsobought-") as folder:
            yield _own(settings, Path(folder) / "log.ndjson")


def _midnight(moment: datetime) -> datetime:
    """The first midnight that is not before it.

    >>> _midnight(datetime(2026, 1, 1, 12, tzinfo=UTC)).isoformat()
    '2026-01-02T00:00:00+00:00'
    """
    begun = datetime.combine(moment.date(), time(), UTC)
    return begun if begun == moment else begun + timedelta(days=1)


def _journey() -> Source:
    """The year as published, its times not moved."""

    def batches(before: datetime) -> Iterator[list[Event]]:
        size = journey.size(before)
        for first in range(0, size, BATCH):
            yield journey.events(0, first, min(BATCH, size - first))

    ends = journey.last_time(0)
    return Source(
        "the Complete Journey", "journey", ends, lambda: list(journey.items()), batches, journey.size, _reserved(0)
    )


def _reserved(weeks: int) -> datetime:
    return datetime.combine(journey.RESERVED_FROM, time(), UTC) + timedelta(weeks=weeks)


def _toyshop() -> Source:
    objects = [msgspec.json.encode(event) for event in toyshop.history(TOYSHOP_UNTIL)]
    events, _ = read_events(objects, Rules(TOYSHOP_UNTIL))
    items, _ = read_items([msgspec.json.encode(item) for item in toyshop.items()], MAX_BYTES)

    def batches(before: datetime) -> Iterator[list[Event]]:
        yield [event for event in events if isinstance(event.timestamp, datetime) and event.timestamp < before]

    return Source("the toy shop", "toyshop", TOYSHOP_UNTIL, lambda: items, batches, lambda _: len(events))


# The shop's own


def _own(settings: Settings, path: Path) -> Source:
    _dump(settings, path)
    with path.open("rb") as file:
        head = msgspec.json.decode(file.readline(), type=Head)
        if not head.events or head.newest is None:
            raise Unusable("there are no events to evaluate on", "Load some, or name a --dataset")
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
    if head.journey:  # the demo's year, moved by whole weeks
        reserved = _reserved(journey.weeks_moved(*head.journey))
    ends = head.newest + timedelta(milliseconds=1)
    return Source("the shop's log", digest, ends, items, batches, lambda _: head.events, reserved)


def _batches(lines: Iterable[bytes], before: datetime) -> Iterator[list[Event]]:
    decode = msgspec.json.Decoder(Line).decode
    batch: list[Event] = []
    for text in lines:
        event = decode(text).event()
        if isinstance(event.timestamp, datetime) and event.timestamp < before:
            batch.append(event)
        if len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _dump(settings: Settings, path: Path) -> None:
    """The log into a file, by a process of its own. Raises Unusable with the sentence that it ended with."""
    settings = msgspec.structs.replace(settings, data=str(settings.data_folder))  # for whoever stands in another folder
    ran = subprocess.run(  # noqa: S603
        [sys.executable, "-P", "-m", "alsobought.evaluation.shop_log", str(path)],
        input=msgspec.json.encode(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if ran.returncode:
        said = ran.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise Unusable(said or "the shop's log was not read")
