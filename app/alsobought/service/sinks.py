"""Event sinks: hand posted rows to the writer of this process, or append them to Kafka."""

from __future__ import annotations

import concurrent.futures
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import msgspec

from alsobought.errors import AlsoboughtError, BadRequest, Busy, Detail, NotStored, TooLarge
from alsobought.events import Event
from alsobought.items import Item
from alsobought.kafka.message_filter import message_filter
from alsobought.serving.visibility import Visibility, is_ingested
from alsobought.settings import Settings
from alsobought.storage.warehouse import Warehouse
from alsobought.users import User
from alsobought.writer.sharded import AnyWriter
from alsobought.writer.submission import Kind, SentRows, Submission, kind_of

if TYPE_CHECKING:
    from alsobought.kafka.producer import LogProducer, SourcePartition

log = logging.getLogger(__name__)

STORE_SECONDS = 30.0
POLL_SECONDS = 0.02
MAX_DETAILS = 100
RETRY_HINTS = {
    "event": "Send them again with the same event_id; events without one may be counted twice",
    "item": "Send them again",
    "user": "Send them again",
}


@dataclass(frozen=True)
class Accepted:
    """Rows that are durable.

    `duplicates` were not stored again (None: not known yet); `visible` if answers contain them.
    """

    rows: int
    duplicates: int | None
    visible: bool


class EventSink(Protocol):
    def accept(self, rows: SentRows, *, wait: bool, size: int = 0) -> Accepted:
        """Return once the rows are durable; with `wait`, once answers contain them. `size`: the bytes in which they came.

        Raises Busy, NotStored, TooLarge.
        """

    @property
    def waiting(self) -> int:
        """The number of rows that have not reached the writer's queue."""

    def close(self) -> None: ...


class WriterSink:
    """Submits to the writer, which makes rows visible as it stores them.

    Events in its append log are durable at once. Otherwise, and for items and users, the caller waits until they are stored.
    """

    def __init__(self, writer: AnyWriter) -> None:
        self._writer = writer

    def accept(self, rows: SentRows, *, wait: bool, size: int = 0) -> Accepted:
        kind = kind_of(rows)
        waiting = wait or kind == "item" or (kind == "event" and not self._writer.logs)
        submission = Submission(rows, waiting=waiting, size=size)
        stored = self._writer.submit(submission)
        if submission.logged and not wait:
            return Accepted(len(rows), None, visible=False)
        try:
            outcome = stored.result(STORE_SECONDS)
        except NotStored:
            if not submission.logged:
                raise
        except concurrent.futures.TimeoutError:
            if not submission.logged:
                raise Busy(f"the {kind}s are not stored yet", RETRY_HINTS[kind]) from None
        else:
            return Accepted(outcome.rows, outcome.duplicates, visible=True)
        return Accepted(len(rows), None, visible=False)

    @property
    def waiting(self) -> int:
        return 0

    def close(self) -> None: ...


class KafkaSink:
    """Appends to Kafka.

    An event gets its timestamp here, so that reading the topic again gives the same event.
    """

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

    def accept(self, rows: SentRows, *, wait: bool, size: int = 0) -> Accepted:  # noqa: ARG002 - librdkafka bounds its queue itself
        now, max_bytes = self._clock(), self._settings.max_event_bytes
        messages = [message(row, now) for row in rows]
        if too_long := [index for index, (_, body) in enumerate(messages) if len(body) > max_bytes]:
            problem = f"longer than {max_bytes:,} bytes as a Kafka message"
            details = tuple(Detail(messages[index][0], problem) for index in too_long)
            raise TooLarge(
                f"{len(too_long):,} of {len(rows):,} {kind_of(rows)}s are too large", "Send less data in each", details
            )
        self._refuse_others(messages, kind_of(rows))
        offsets = self._log.append(topic_of(self._settings, kind_of(rows)), messages)
        return Accepted(len(rows), None, visible=wait and self._wait_until_visible(offsets))

    def _refuse_others(self, messages: Sequence[tuple[str, bytes]], kind: Kind) -> None:
        """Raises BadRequest for rows that would be skipped when they are read again, and so be lost."""
        where = message_filter(self._settings.kafka_where)
        if others := [key for key, body in messages if not where.keeps(body)]:
            details = tuple(Detail(key, f"is not of this shop: {where.text}") for key in others)
            raise BadRequest(
                f"{len(others):,} of {len(messages):,} {kind}s are not of this shop, which reads only {where.text}",
                "Post them to their shop, or with that value (ALSOBOUGHT_KAFKA_WHERE)",
                details=details[:MAX_DETAILS],
            )

    def _wait_until_visible(self, offsets: Mapping[SourcePartition, int]) -> bool:
        """False if answers do not contain the offsets in time.

        Keeps polling while the warehouse is unavailable.
        """
        pending = dict(offsets)
        deadline = time.monotonic() + STORE_SECONDS
        while time.monotonic() < deadline and min(pending.values(), default=0) >= 0:
            try:
                pending = {
                    partition: offset
                    for partition, offset in pending.items()
                    if not is_ingested(self._warehouse, *partition, offset)
                }
                if not pending:
                    self._visibility.refresh()
                    return True
            except AlsoboughtError as error:
                log.warning("could not check whether events are visible: %s", error)
            time.sleep(POLL_SECONDS)
        return False

    @property
    def waiting(self) -> int:
        return self._log.waiting

    def close(self) -> None:
        self._log.close()


def topic_of(settings: Settings, kind: Kind) -> str:
    return {"event": settings.events_topic, "item": settings.items_topic, "user": settings.users_topic}[kind]


def message(row: Event | Item | User, now: datetime) -> tuple[str, bytes]:
    """Key and value of a Kafka message. The key keeps the events of a user in order.

    >>> from datetime import UTC
    >>> message(Event(event_type="view", item_id="tea", session_id="s1"), datetime(2026, 1, 1, 12, tzinfo=UTC))
    ('s1', b'{"event_type":"view","item_id":"tea","session_id":"s1","timestamp":"2026-01-01T12:00:00Z"}')
    """
    if isinstance(row, Item):
        return row.item_id, _encode(row)
    if not isinstance(row.timestamp, datetime):
        row = msgspec.structs.replace(row, timestamp=now)
    return row.user_id or row.session_id if isinstance(row, Event) else row.user_id, _encode(row)


_encode = msgspec.json.Encoder().encode
