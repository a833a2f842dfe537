"""What becomes of rows that callers send: straight to the writer of this process, or into Kafka's log, which it reads."""

from __future__ import annotations

import concurrent.futures
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from alsobought.errors import AlsoboughtError, Busy, Detail, TooLarge
from alsobought.events import Event, Item
from alsobought.serving.visibility import Visibility, has_passed
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import Submission
from alsobought.writer.writer import Writer

if TYPE_CHECKING:
    from alsobought.kafka.producer import LogProducer, SourcePartition

log = logging.getLogger(__name__)

STORE_SECONDS = 30.0
POLL_SECONDS = 0.02
AGAIN = {
    "event": "Send them again with the same event_id; without one they may count twice",
    "item": "Send them again",
}
Rows = Sequence[Event] | Sequence[Item]


@dataclass(frozen=True)
class Taken:
    """Rows that are durable, and whether answers show them. `repeats` were not stored again; None: nobody knows yet."""

    rows: int
    repeats: int | None
    visible: bool


class EventSink(Protocol):
    def take(self, rows: Rows, *, wait: bool) -> Taken:
        """Returns once they are durable, with `wait` once answers show them. Raises Busy, NotStored, TooLarge."""

    @property
    def waiting(self) -> int:
        """Rows that are not even with the writer yet."""

    def close(self) -> None: ...


class WriterSink:
    """To the writer: what it has stored is visible."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def take(self, rows: Rows, *, wait: bool) -> Taken:  # noqa: ARG002
        try:
            stored = self._writer.submit(Submission(rows)).result(STORE_SECONDS)
        except concurrent.futures.TimeoutError:
            kind = kind_of(rows)
            raise Busy(f"the {kind}s are not stored yet", AGAIN[kind]) from None
        return Taken(stored.rows, stored.duplicates, visible=True)

    @property
    def waiting(self) -> int:
        return 0

    def close(self) -> None: ...


class KafkaSink:
    """Into the log. An event has its time from here, so that whoever reads the log again gets the same."""

    def __init__(
        self,
        log: LogProducer,
        warehouse: Warehouse,
        visibility: Visibility,
        clock: Callable[[], datetime],
        settings: Settings,
    ) -> None:
        self._log, self._warehouse, self._visibility = log, warehouse, visibility
        self._clock, self._settings = clock, settings

    def take(self, rows: Rows, *, wait: bool) -> Taken:
        now, most = self._clock(), self._settings.max_event_bytes
        messages = [message(row, now) for row in rows]
        if long := [place for place, (_, body) in enumerate(messages) if len(body) > most]:
            details = tuple(Detail(rows[place].item_id, f"longer than {most:,} bytes in the log") for place in long)
            raise TooLarge(
                f"{len(long):,} of {len(rows):,} would be too large in the log", "Send less in each", details
            )
        of_items = kind_of(rows) == "item"
        places = self._log.append(self._settings.items_topic if of_items else self._settings.events_topic, messages)
        return Taken(len(rows), None, visible=wait and self._wait(places))

    def _wait(self, places: Mapping[SourcePartition, int]) -> bool:
        """Until answers show what is at these offsets; False if that takes too long. While the warehouse is away it waits."""
        left = dict(places)
        ends = time.monotonic() + STORE_SECONDS
        while time.monotonic() < ends and min(left.values(), default=0) >= 0:
            try:
                left = {place: at for place, at in left.items() if not has_passed(self._warehouse, *place, at)}
                if not left:
                    self._visibility.refresh()
                    return True
            except AlsoboughtError as error:
                log.warning("whether it is visible cannot be asked: %s", error)
            time.sleep(POLL_SECONDS)
        return False

    @property
    def waiting(self) -> int:
        return self._log.waiting

    def close(self) -> None:
        self._log.close()


def kind_of(rows: Rows) -> str:
    return "item" if isinstance(rows[0], Item) else "event"


def message(row: Event | Item, now: datetime) -> tuple[str, bytes]:
    """Key and value in Kafka: what one person did stands in one partition, in its order.

    >>> from datetime import UTC
    >>> message(Event(event_type="view", item_id="tea", session_id="s1"), datetime(2026, 1, 1, 12, tzinfo=UTC))
    ('s1', b'{"event_type":"view","item_id":"tea","session_id":"s1","timestamp":"2026-01-01T12:00:00Z"}')
    """
    if isinstance(row, Item):
        return row.item_id, _encode(row)
    if not isinstance(row.timestamp, datetime):
        row = msgspec.structs.replace(row, timestamp=now)
    return row.user_id or row.session_id, _encode(row)


_encode = msgspec.json.Encoder().encode
