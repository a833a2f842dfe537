"""The writer's input: submissions of events, items or users with their source and offsets, and maintenance tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from alsobought import tracing
from alsobought.errors import Busy
from alsobought.events import Event
from alsobought.items import Item
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse
from alsobought.users import User

BUSY_SECONDS = 0.1
Kind = Literal["event", "item", "user"]
KINDS: Mapping[type, Kind] = {Event: "event", Item: "item", User: "user"}
SentRows = Sequence[Event] | Sequence[Item] | Sequence[User]
POST = "post"  # the source of events that are posted to this warehouse directly


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Stored:
    """The outcome of a submission: rows stored, duplicates dropped, and the ingest time from which answers show the rows.

    `offsets` counts the submission's offsets that the source has now, stored by this submission or earlier.
    """

    rows: int
    duplicates: int
    as_of: datetime
    offsets: int = 0


def settle(done: Future[Stored], parts: Sequence[Future[Stored]]) -> None:
    """Gives the future of a whole the sum of the outcomes of its parts, or the exception of the first that failed."""
    if error := next((error for part in parts if (error := part.exception())), None):
        done.set_exception(error)
        return
    outcomes = [part.result() for part in parts]
    rows, duplicates, offsets = (
        sum(getattr(outcome, name) for outcome in outcomes) for name in ("rows", "duplicates", "offsets")
    )
    done.set_result(Stored(rows, duplicates, max(outcome.as_of for outcome in outcomes), offsets))


@dataclass
class Submission:
    """Rows that arrived together. `offsets` are theirs in a partition of the source, ascending; a direct post has none.

    `after` is the future of the previous submission: if that was not stored, this one is not either, since a source with a
    gap could not resume after its last offset. `sent_at` gives the time since when Kafka, or the append log, has had each row.
    `accepted_at` is the monotonic time at which the writer's queue took it, for a post before it is answered.
    While somebody is `waiting` for the outcome, the batch closes early. `logged` rows are in the append log: they are stored in
    any case, if need be after the next start. If rows may be stored already, they are looked up by their offsets. `size` is that
    of the text in which they came, in bytes; 0 if its sender is trusted to send few. `trace` is what sent them (`tracing`).
    """

    rows: SentRows
    source: str = POST
    offsets: Sequence[int] | None = None
    after: Future[Stored] | None = None
    partition: int = 0
    sent_at: Callable[[], Sequence[datetime]] | None = None
    waiting: bool = False
    logged: bool = False
    may_be_stored: bool = True
    size: int = 0
    trace: Any = field(default_factory=tracing.current)
    accepted_at: float = field(default_factory=time.monotonic)
    done: Future[Stored] = field(default_factory=Future)

    @property
    def last_offset(self) -> int:
        """-1 if the rows have no offsets."""
        return self.offsets[-1] if self.offsets else -1

    @property
    def kind(self) -> Kind:
        """What the rows are."""
        return kind_of(self.rows)


def kind_of(rows: SentRows) -> Kind:
    return KINDS[type(rows[0])] if rows else "event"


@dataclass
class MaintenanceTask:
    """Any other write. The writer's thread runs it between two batches, so that no two threads ever write.

    An `exclusive` task runs under the writer's lease, when all views have every batch.
    """

    action: Callable[[], object]
    exclusive: bool = False
    done: Future[Any] = field(default_factory=Future)


class Intake(Protocol):
    """Accepts submissions: the writer, or its proxy in another process."""

    @property
    def warehouse(self) -> Warehouse: ...

    @property
    def settings(self) -> Settings: ...

    def submit(self, submission: Submission) -> Future[Stored]: ...


def submit_when_there_is_room(intake: Intake, submission: Submission) -> Future[Stored]:
    """Submits, and while the queue is full waits and tries again, without a time limit."""
    while True:
        try:
            return intake.submit(submission)
        except Busy:
            time.sleep(BUSY_SECONDS)
