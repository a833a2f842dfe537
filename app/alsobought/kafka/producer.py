"""Append messages to Kafka and wait until it acknowledges them.

Nothing here waits for Kafka at start-up. A thread looks up the topics, again after each failure;
until they are found, callers fail at once, except that the first ones wait up to LOOKUP_SECONDS.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from alsobought.errors import Busy, NotStored, TooLarge, WarehouseFault
from alsobought.kafka.client import Topic, describe_topics
from alsobought.kafka.connection import client_configuration
from alsobought.settings import Settings

log = logging.getLogger(__name__)

DELIVERY_SECONDS = 5.0
REPORT_SECONDS = 10.0  # beyond DELIVERY_SECONDS, for delivery reports to arrive
LOOKUP_SECONDS = 5.0
RETRY_SECONDS = 1.0
POLL_SECONDS = 0.1
PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",  # the partitions that a Java client would choose
    "compression.type": "lz4",
    "linger.ms": 5,
    "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
    "reconnect.backoff.max.ms": 1000,
    "queue.buffering.max.messages": 10_000_000,  # queue_rows is the limit
    "queue.buffering.max.kbytes": 262_144,
}
RETRY_HINT = "Send all of it again with the same event_id; events without one may be counted twice"
NOTHING_APPENDED_HINT = "Send the same again in a second: nothing was appended"

SourcePartition = tuple[str, int]
"""A source and the number of one of its partitions."""


@dataclass
class Delivery:
    """Messages of one `append`: the number unreported, the last offset per partition, errors."""

    source: str
    pending: int
    offsets: dict[SourcePartition, int] = field(default_factory=dict)
    errors: list[Any] = field(default_factory=list)
    reported: threading.Event = field(default_factory=threading.Event)


class LogProducer:
    """`append` from any thread. Kafka is not contacted before the first call."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._configuration = {
            **PRODUCER,
            **client_configuration(settings),
            "message.max.bytes": max(1_000_000, 2 * settings.max_event_bytes),
        }
        self._producer: Any = None
        self._fatal = False
        self._topics: dict[str, Topic] | None = None
        self._problem = ""
        self._looked_up, self._unavailable, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._waiting = 0
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """The number of messages in flight, without a delivery report."""
        return self._waiting

    def append(self, topic: str, messages: Sequence[tuple[str, bytes]]) -> dict[SourcePartition, int]:
        """Append (key, value) messages. Returns the last offset per partition, -1 if unknown.

        Raises Busy if too many messages are in flight, TooLarge, and NotStored unless Kafka
        acknowledges all.
        """
        delivery = Delivery(self._available_topic(topic).source, len(messages))
        with self._lock:
            if self._waiting and self._waiting + len(messages) > self._settings.queue_rows:
                raise Busy("too many messages wait for Kafka", NOTHING_APPENDED_HINT)
            self._waiting += len(messages)
        self._produce(topic, messages, delivery)
        if not delivery.reported.wait(DELIVERY_SECONDS + REPORT_SECONDS):
            self._mark_unavailable()
            raise NotStored("Kafka did not acknowledge the messages in time", RETRY_HINT)
        if delivery.errors:
            raise self._error(delivery.errors, len(messages))
        return delivery.offsets

    def close(self) -> None:
        """Wait for messages in flight, at most as long as Kafka may take for them."""
        self._stopped.set()
        if self._thread:
            self._thread.join()
        if self._producer and self._producer.flush(DELIVERY_SECONDS):
            log.warning("%d messages were not acknowledged by Kafka", len(self._producer))

    def _available_topic(self, name: str) -> Topic:
        """Raises NotStored if Kafka did not answer lately."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
                self._thread.start()
        if not self._looked_up.is_set():
            self._looked_up.wait(LOOKUP_SECONDS)
        topics = self._topics
        if topics is None:
            problem = self._problem or f"Kafka at {self._settings.kafka} does not answer"
            raise NotStored(problem, NOTHING_APPENDED_HINT)
        return topics[name]

    def _produce(self, topic: str, messages: Sequence[tuple[str, bytes]], delivery: Delivery) -> None:
        """Hand messages to librdkafka, whose own limit is in bytes."""
        on_delivery, produced = partial(self._on_delivery, delivery), 0
        try:
            for key, value in messages:
                self._producer.produce(topic, value, key=key, on_delivery=on_delivery)
                produced += 1
        except (BufferError, KafkaException) as error:
            with self._lock:
                self._waiting -= len(messages) - produced
            if isinstance(error, BufferError):
                raise Busy("too many messages wait for Kafka", RETRY_HINT) from error
            raise self._error([error.args[0]], len(messages)) from error

    def _error(self, errors: Sequence[Any], messages: int) -> NotStored | TooLarge:
        first = errors[0]
        if first.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return TooLarge(
                "a message is larger than Kafka accepts", f"Leave it out: the others may be appended. {RETRY_HINT}"
            )
        self._mark_unavailable()
        log.warning("%d of %d messages were not appended: %s", len(errors), messages, first.str())
        return NotStored(
            f"{len(errors):,} of {messages:,} messages may not be appended: Kafka does not answer", RETRY_HINT
        )

    def _on_delivery(self, delivery: Delivery, error: Any, message: Any) -> None:
        """The delivery report of one message."""
        with self._lock:
            self._waiting -= 1
            delivery.pending -= 1
            if error:
                delivery.errors.append(error)
            else:
                key, offset = (delivery.source, message.partition()), message.offset()
                before = delivery.offsets.get(key, offset)
                # the report of a retried message has no offset
                delivery.offsets[key] = max(before, offset) if min(before, offset) >= 0 else -1
            if not delivery.pending:
                delivery.reported.set()

    def _mark_unavailable(self) -> None:
        """From now on callers fail at once, until the thread has looked up the topics again."""
        self._topics = None
        self._unavailable.set()

    # The thread

    def _run(self) -> None:
        while not self._stopped.is_set():
            if self._unavailable.is_set():
                self._topics = None
                self._unavailable.clear()
            if self._topics is None:
                self._look_up()
            self._producer.poll(POLL_SECONDS)

    def _look_up(self) -> None:
        """Look up the topics with their IDs, which change when a topic is created again."""
        if self._producer is None or self._fatal:
            self._replace_producer()
        lookup = _TopicLookup(self._settings)
        while not self._stopped.is_set() and not lookup.done.is_set():
            self._producer.poll(POLL_SECONDS)  # messages in flight still get their reports
        if lookup.problem and not self._problem:
            log.warning("%s", lookup.error)
        if lookup.topics and self._problem:
            log.warning("Kafka answers again")
        self._problem, self._topics = lookup.problem, lookup.topics
        self._looked_up.set()
        if lookup.problem:
            self._stopped.wait(RETRY_SECONDS)

    def _replace_producer(self) -> None:
        """After a fatal error an idempotent producer accepts nothing more; its messages fail."""
        old, self._fatal = self._producer, False
        self._producer = Producer({**self._configuration, "error_cb": self._on_error})
        if old:
            old.purge()
            old.poll(0)

    def _on_error(self, error: Any) -> None:
        if error.fatal():
            log.warning("Kafka: %s", error.str())
            self._fatal = True
            self._mark_unavailable()


class _TopicLookup:
    """A look-up of the topics on a thread of its own, since it can block for long."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.done = threading.Event()
        self.topics: dict[str, Topic] | None = None
        self.problem = ""
        self.error: Exception | None = None
        threading.Thread(target=self._run, name="topics", daemon=True).start()

    def _run(self) -> None:
        try:
            self.topics = describe_topics(self._settings)
        except WarehouseFault as error:
            self.problem, self.error = error.message, error
        except Exception as error:
            log.exception("look-up of the topics failed")
            self.problem, self.error = str(error), error
        self.done.set()
