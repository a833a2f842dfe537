"""Kafka → the writer: messages are read, stored in the order of their partition, and only then told to Kafka.

A batch of `events` says which offsets it holds, so the warehouse itself knows where to go on. A message that cannot be stored
is a dead letter, which is stored before the good ones beside it: read again after a crash, it is there once. While the
warehouse is away the consumer pauses and stays in its group.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from app.errors import AlsoboughtError, Busy
from app.events import STANDARD_TYPES, Event, Rules, fault, read_events, read_items
from app.ingest import Writer
from app.intake import Errand, Stored, Submission
from app.kafka import ITEMS, Topic, consumer, topics
from app.ledger import resume_at
from app.segment import events_of, looks_like_track
from app.settings import Settings, more_event_types

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
AGAIN_SECONDS = 1.0


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was refused, as `dead_letters` stores it."""

    source: str
    partition: int
    offset: int
    reason: str
    body: str
    seen_at: datetime


@dataclass
class Done:
    """What became of the messages so far."""

    messages: int = 0
    stored: int = 0
    repeats: int = 0
    refused: int = 0


class Stream:
    """Reads both topics until it is stopped: `run` here, or `start` on a thread of its own."""

    def __init__(self, writer: Writer, settings: Settings) -> None:
        self._writer, self._settings = writer, settings
        self._warehouse = writer.warehouse.another()  # the writer's connection is for its thread
        self._topics = topics(settings.kafka)
        self._consumer = consumer(settings.kafka)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self.run, name="kafka", daemon=True)
        self.done = Done()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Asks it to leave after the batch under way, and waits if it has a thread of its own."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def run(self) -> None:
        """Raises WarehouseFault if Kafka does not answer at the start."""
        self._consumer.subscribe(list(self._topics), on_assign=self._go_on)
        try:
            while not self._stopped.is_set():
                messages = self._consumer.consume(self._settings.batch_rows, POLL_SECONDS)
                if messages and self._store(messages):
                    self._consumer.commit(asynchronous=True)
        finally:
            self._consumer.close()
            self._warehouse.close()

    def _go_on(self, reader: Any, partitions: list[Any]) -> None:
        """Where the warehouse says, whatever Kafka remembers."""
        for partition in partitions:
            topic = self._topics[partition.topic]
            if topic.name != ITEMS:  # items may come again: the newest wins
                partition.offset = resume_at(self._warehouse, topic.source, partition=partition.partition)
        reader.incremental_assign(partitions)

    def _store(self, messages: Sequence[Any]) -> bool:
        """Stores messages, however long the warehouse is away; False if it was told to stop meanwhile."""
        parts: dict[tuple[str, int], list[Any]] = defaultdict(list)
        for message in messages:
            if message.error():
                log.warning("Kafka: %s", message.error().str())
            else:
                parts[message.topic(), message.partition()].append(message)
        return all(self._store_part(self._topics[topic], number, part) for (topic, number), part in parts.items())

    def _store_part(self, topic: Topic, partition: int, messages: Sequence[Any]) -> bool:
        now = self._writer.clock()
        submission, dead = read_messages(topic, partition, messages, self._rules(now), now)
        while True:
            try:
                if dead:
                    self._writer.run(Errand(lambda: _bury(self._writer, dead))).result()
                stored = self._submit(submission).result() if submission.rows else Stored(0, 0, now)
                break
            except AlsoboughtError as error:
                log.warning("%s partition %d waits for the warehouse: %s", topic.name, partition, error)
                submission.done = Future()
                if not self._wait():
                    return False
        self.done.messages += len(messages)
        self.done.stored += stored.rows
        self.done.repeats += stored.repeats
        self.done.refused += len(dead)
        return True

    def _submit(self, submission: Submission) -> Future[Stored]:
        while True:
            try:
                return self._writer.submit(submission)
            except Busy:
                self._stopped.wait(POLL_SECONDS)

    def _wait(self) -> bool:
        """A moment in which the group still hears from us; False if it is time to leave."""
        assigned = self._consumer.assignment()
        self._consumer.pause(assigned)
        self._consumer.poll(0)
        stopped = self._stopped.wait(AGAIN_SECONDS)
        self._consumer.resume(assigned)
        return not stopped

    def _rules(self, now: datetime) -> Rules:
        types = frozenset(STANDARD_TYPES).union(more_event_types(self._settings))
        return Rules(now, types, self._settings.max_event_bytes)


def read_messages(
    topic: Topic, partition: int, messages: Sequence[Any], rules: Rules, now: datetime
) -> tuple[Submission, list[DeadLetter]]:
    """What is to be stored of the messages of one partition, and the dead letters among them."""
    rows: list[Any] = []
    offsets: list[int] = []
    dead: list[DeadLetter] = []
    for message in messages:
        body, offset = message.value() or b"", message.offset()
        found = _items(body, rules) if topic.name == ITEMS else _events(body, rules)
        if isinstance(found, str):
            shown = body.decode("utf-8", "backslashreplace")
            dead.append(DeadLetter(topic.source, partition, offset, found, shown, now))
        else:
            rows += found
            offsets += [offset] * len(found)
    return Submission(rows, topic.source, None if topic.name == ITEMS else offsets, partition=partition), dead


def _events(body: bytes, rules: Rules) -> Sequence[Event] | str:
    """The events of one message, ours or a track call; or why there are none."""
    good, bad = read_events([body], rules)
    if not bad:
        return good
    if looks_like_track(body) and len(body) <= rules.max_bytes:
        found = events_of(body)
        if isinstance(found, str):
            return found
        problems = [problem for event in found if (problem := fault(event, rules))]
        return problems[0] if problems else found
    return bad[0].problem


def _items(body: bytes, rules: Rules) -> Any:
    good, bad = read_items([body], rules.max_bytes)
    return bad[0].problem if bad else good


def _bury(writer: Writer, dead: Sequence[DeadLetter]) -> None:
    """Twice is once: a dead letter is known by its offset."""
    writer.warehouse.insert("dead_letters", msgspec.json.Encoder().encode_lines(dead))
