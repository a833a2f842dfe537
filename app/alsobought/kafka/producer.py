"""Kafka's log as a place to put things: they are there once Kafka says so, or an error tells what is known of them.

What a reader would guess wrong: nothing here waits for Kafka at the start. A thread looks for it, and looks again after a
failure; until it is found whoever wants to append is sent away at once, but for the very first, who wait a moment.
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
from alsobought.kafka.client import Topic, topics
from alsobought.settings import Settings

log = logging.getLogger(__name__)

DELIVERY_SECONDS = 5.0
REPORT_SECONDS = 10.0  # beyond that, for a report to come in
FIRST_SECONDS = 5.0
AGAIN_SECONDS = 1.0
POLL_SECONDS = 0.1
PRODUCER = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",  # that of Java: a person's events meet in one partition, whoever sends them
    "compression.type": "lz4",
    "linger.ms": 5,
    "delivery.timeout.ms": int(DELIVERY_SECONDS * 1000),
    "reconnect.backoff.max.ms": 1000,
    "queue.buffering.max.messages": 10_000_000,  # rows are counted here, bytes there
    "queue.buffering.max.kbytes": 262_144,
    "log_level": 0,
}
AGAIN = "Send all of it again with the same event_id; without one it may count twice"

Place = tuple[str, int]
"""A source and its partition."""


@dataclass
class Request:
    """What is known of messages that were appended together."""

    source: str
    left: int
    offsets: dict[Place, int] = field(default_factory=dict)
    errors: list[Any] = field(default_factory=list)
    told: threading.Event = field(default_factory=threading.Event)


class Log:
    """`append` from any thread. Nothing of Kafka is touched before the first."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._configuration = {
            **PRODUCER,
            "bootstrap.servers": settings.kafka,
            "message.max.bytes": max(1_000_000, 2 * settings.max_event_bytes),
        }
        self._producer: Any = None
        self._broken = False
        self._topics: dict[str, Topic] | None = None
        self._fault = ""
        self._looked, self._lost, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._waiting = 0
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> int:
        """Messages that Kafka has not answered yet."""
        return self._waiting

    def append(self, topic: str, messages: Sequence[tuple[str, bytes]]) -> dict[Place, int]:
        """Keys and values, in their order; returns the last offset in each partition once all are in the log, -1 if unknown.

        Raises Busy if too much is waiting, TooLarge, and NotStored unless Kafka has told of each that it is there.
        """
        request = Request(self._there(topic).source, len(messages))
        with self._lock:
            if self._waiting and self._waiting + len(messages) > self._settings.queue_rows:
                raise Busy("too much waits for Kafka", "Send the same again in a second: nothing of it is in the log")
            self._waiting += len(messages)
        self._hand_over(topic, messages, request)
        if not request.told.wait(DELIVERY_SECONDS + REPORT_SECONDS):
            self._lose()
            raise NotStored("Kafka has not said whether it has them", AGAIN)
        if request.errors:
            raise self._refusal(request.errors, len(messages))
        return request.offsets

    def close(self) -> None:
        """Waits for what is under way, as long as Kafka may take for it."""
        self._stopped.set()
        if self._thread:
            self._thread.join()
        if self._producer and self._producer.flush(DELIVERY_SECONDS):
            log.warning("%d messages have no answer of Kafka", len(self._producer))

    def _there(self, topic: str) -> Topic:
        """The topic, if Kafka answered lately."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
                self._thread.start()
        if not self._looked.is_set():
            self._looked.wait(FIRST_SECONDS)
        found = self._topics
        if found is None:
            said = self._fault or f"Kafka at {self._settings.kafka} does not answer"
            raise NotStored(said, "Send the same again in a second: nothing of it is in the log")
        return found[topic]

    def _hand_over(self, topic: str, messages: Sequence[tuple[str, bytes]], request: Request) -> None:
        """To librdkafka, which has its own limit, of bytes."""
        told, handed = partial(self._told, request), 0
        try:
            for key, value in messages:
                self._producer.produce(topic, value, key=key, on_delivery=told)
                handed += 1
        except (BufferError, KafkaException) as error:
            with self._lock:
                self._waiting -= len(messages) - handed
            if isinstance(error, BufferError):
                raise Busy("too much waits for Kafka", AGAIN) from error
            raise self._refusal([error.args[0]], len(messages)) from error

    def _refusal(self, errors: Sequence[Any], of: int) -> NotStored | TooLarge:
        first = errors[0]
        if first.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            return TooLarge(
                "one of them is larger than Kafka takes", f"Leave it out: the others may be in the log. {AGAIN}"
            )
        self._lose()
        log.warning("%d of %d messages are not in the log: %s", len(errors), of, first.str())
        return NotStored(f"{len(errors):,} of {of:,} may not be in the log: Kafka does not answer", AGAIN)

    def _told(self, request: Request, error: Any, message: Any) -> None:
        """Kafka's answer for one message."""
        with self._lock:
            self._waiting -= 1
            request.left -= 1
            if error:
                request.errors.append(error)
            else:
                place, offset = (request.source, message.partition()), message.offset()
                before = request.offsets.get(place, offset)
                # a message that was sent twice has no offset
                request.offsets[place] = max(before, offset) if min(before, offset) >= 0 else -1
            if not request.left:
                request.told.set()

    def _lose(self) -> None:
        """Nobody else is to wait for a Kafka that does not answer."""
        self._topics = None
        self._lost.set()

    # The thread

    def _run(self) -> None:
        while not self._stopped.is_set():
            if self._lost.is_set():
                self._topics = None
                self._lost.clear()
            if self._topics is None:
                self._look()
            self._producer.poll(POLL_SECONDS)

    def _look(self) -> None:
        """Once Kafka is found, so is the incarnation of its topics: they may have been made anew."""
        if self._producer is None or self._broken:
            self._renew()
        looking = _Looking(self._settings)
        while not self._stopped.is_set() and not looking.done.is_set():
            self._producer.poll(POLL_SECONDS)  # what was under way is still answered
        if looking.fault and not self._fault:
            log.warning("%s", looking.fault)
        if looking.found and self._fault:
            log.warning("Kafka answers again")
        self._fault, self._topics = looking.fault, looking.found
        self._looked.set()
        if looking.fault:
            self._stopped.wait(AGAIN_SECONDS)

    def _renew(self) -> None:
        """A producer that lost count of what it sent is of no more use: its messages are refused, another takes over."""
        broken, self._broken = self._producer, False
        self._producer = Producer({**self._configuration, "error_cb": self._heard})
        if broken:
            broken.purge()
            broken.poll(0)

    def _heard(self, error: Any) -> None:
        if error.fatal():
            log.warning("Kafka: %s", error.str())
            self._broken = True
            self._lose()


class _Looking:
    """Asking Kafka for its topics, which may take a while."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.done = threading.Event()
        self.found: dict[str, Topic] | None = None
        self.fault = ""
        threading.Thread(target=self._look, name="topics", daemon=True).start()

    def _look(self) -> None:
        try:
            self.found = topics(self._settings)
        except WarehouseFault as error:
            self.fault = error.message
        except Exception as error:
            log.exception("the topics were not read")
            self.fault = str(error)
        self.done.set()
