"""What the writer takes: events and items with where they came from, and what it stores of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from alsobought.errors import Busy
from alsobought.events import Event, Item
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse

BUSY_SECONDS = 0.1


def utc_now() -> datetime:
    return datetime.now(UTC)


class Row(msgspec.Struct, omit_defaults=True, gc=False):
    """An event as `events` stores it. Omitted fields take the column's default: that is how category is stamped."""

    event_id: str
    event_type: str
    user_id: str
    item_id: str
    timestamp: datetime
    source: str
    partition: int
    offset: int
    batch: int
    epoch: int
    ingested_at: datetime
    seq: int
    quantity: int
    session_id: str = ""
    category: str = ""
    order_id: str = ""
    order_size: int = 0
    price: float = 0.0
    properties: str = ""


class ItemRow(msgspec.Struct):
    item_id: str
    title: str
    category: str
    brand: str
    price: float
    available: bool
    image: str
    owner: str
    attributes: dict[str, str]
    embedding: list[float]
    version: int
    updated_at: datetime


@dataclass(frozen=True)
class Stored:
    """What became of a submission: rows stored, repeats dropped, and the ingest time from which answers show them.

    `places` counts its offsets that the source has now, by this submission or since before.
    """

    rows: int
    repeats: int
    as_of: datetime
    places: int = 0


@dataclass
class Submission:
    """Rows that arrived together. `offsets` are their places in a partition of the source, rising; a direct post has none.

    `after` is the future of the one before it: if that was not stored, this one is not either, for a source with a gap
    could not be gone on with behind its last offset. `sent` tells since when Kafka has each.
    """

    rows: Sequence[Event] | Sequence[Item]
    source: str = "post"
    offsets: Sequence[int] | None = None
    after: Future[Stored] | None = None
    partition: int = 0
    sent: Callable[[], Sequence[datetime]] | None = None
    done: Future[Stored] = field(default_factory=Future)

    @property
    def of_items(self) -> bool:
        return bool(self.rows) and isinstance(self.rows[0], Item)


@dataclass
class MaintenanceTask:
    """Something else that writes, done by the writer between two batches, so that nothing else ever writes.

    `whole` is for what needs all views to have every batch, and no other writer: they get it first.
    """

    do: Callable[[], object]
    whole: bool = False
    done: Future[Any] = field(default_factory=Future)


class Intake(Protocol):
    """What takes rows: the writer, or what stands for it in another process."""

    warehouse: Warehouse
    settings: Settings

    def submit(self, submission: Submission) -> Future[Stored]: ...


def submit_when_there_is_room(intake: Intake, submission: Submission) -> Future[Stored]:
    """However long the writer is behind."""
    while True:
        try:
            return intake.submit(submission)
        except Busy:
            time.sleep(BUSY_SECONDS)
