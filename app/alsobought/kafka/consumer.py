"""Kafka → the writer: messages are read, stored in the order of their partition, and only then noted as read.

Where reading goes on is told by the warehouse, so a message counts once whatever dies in between. Whatever goes wrong, what is
in memory is dropped, and after a pause reading begins again at what the warehouse has. A message that cannot be stored is a
dead letter, stored before its offset is noted; where most are, reading stands still: a mistake in what the shop sends must
not drain the topic into the dead letters.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from alsobought.errors import AlsoboughtError, Busy
from alsobought.events import STANDARD_TYPES, Rules
from alsobought.failpoints import reach
from alsobought.kafka.checkpoints import Range
from alsobought.kafka.client import KafkaAway, Lease, Place, Topic, answering, bounds, reader, topics
from alsobought.kafka.polled import Part, parts
from alsobought.settings import Settings, extra_event_types
from alsobought.storage.ledger import next_offset
from alsobought.writer.submission import MaintenanceTask, Stored
from alsobought.writer.writer import Writer

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
AGAIN_SECONDS = 1.0
COMMIT_SECONDS = 5.0  # so often Kafka is told again how far we are: it may have missed it
NOTE_SECONDS = 0.5  # so often at most it is noted what was read, while more and more comes
RANGE_SECONDS = 60.0  # so long a range grows
LOOK_SECONDS = 10.0  # how often the topics are looked at: they may have got partitions, or be others by now
PIECE_ROWS, PIECE_BYTES = 1000, 16_000_000
JUDGED = 1000  # so many messages back the share of bad ones is taken
LEAST_JUDGED = 100


class Halted(AlsoboughtError):
    """Reading on would do harm; somebody has to look."""


@dataclass
class Done:
    """What became of the messages since the start."""

    messages: int = 0
    stored: int = 0
    repeats: int = 0
    refused: int = 0

    def add(self, read: Range) -> None:
        self.messages += read.messages
        self.stored += read.stored
        self.repeats += read.repeats
        self.refused += read.refused


@dataclass
class Handed:
    """Parts on their way: the dead letters of all, and the rows of each."""

    parts: Sequence[Part]
    letters: Future[None] | None
    stored: Sequence[Future[Stored] | None]


class Stream:
    """Reads both topics until it is stopped: `run` here, or `start` on a thread of its own."""

    def __init__(self, writer: Writer, settings: Settings) -> None:
        self._writer, self._settings = writer, settings
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self.run, name="kafka", daemon=True)
        self._lease: Lease | None = None
        self._ranges: dict[Place, Range] = {}
        self._unnoted: set[Place] = set()
        self._begun_at = self._noted_at = self._committed_at = 0.0
        self._judged: deque[tuple[int, int]] = deque()
        self.done = Done()
        self.trouble: AlsoboughtError | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Asks it to leave after what is on its way, and waits if it has a thread of its own."""
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    @property
    def reading(self) -> bool:
        """Whether it is this process that reads: of several on one server one does."""
        return self._lease is None or self._lease.held

    def run(self) -> None:
        """Until it is stopped. An embedded warehouse has nobody to share with."""
        if not self._writer.warehouse.embedded:
            self._lease = Lease(self._settings)
        try:
            while not self._stopped.is_set():
                with self._pause_on_trouble():
                    if self._may_read(POLL_SECONDS):
                        self._read()
        finally:
            if self._lease:
                self._lease.close()

    @contextmanager
    def _pause_on_trouble(self) -> Iterator[None]:
        try:
            yield
        except AlsoboughtError as error:
            if str(error) != str(self.trouble):
                (log.error if isinstance(error, Halted) else log.warning)("reading from Kafka waits: %s", error)
            self.trouble = error
        except Exception as error:
            log.exception("reading from Kafka broke off")
            self.trouble = AlsoboughtError(f"reading broke off: {type(error).__name__}", "The log has more")
        else:
            return
        until = time.monotonic() + AGAIN_SECONDS
        while time.monotonic() < until and not self._stopped.wait(POLL_SECONDS):
            self._may_read()

    def _may_read(self, seconds: float = 0.0) -> bool:
        return self._lease is None or self._lease.ask(seconds)

    def _read(self) -> None:
        """From where the warehouse is, until we are to stop, the lease is lost, or the topics are others."""
        self._result(
            self._writer.run(MaintenanceTask(self._writer.begin))
        )  # views may lack a batch of a process that died
        found = topics(self._settings)
        at = self._beginnings(found)
        self._ranges, self._unnoted = {}, set()
        self._begun_at = self._noted_at = time.monotonic()
        handed: Handed | None = None
        looked = time.monotonic()
        with answering(self._settings.kafka), closing(reader(self._settings, at)) as consumer:
            _commit(consumer, at)  # a process that died may not have come to it
            while not self._stopped.is_set() and self._may_read():
                messages = _good(consumer.consume(self._settings.batch_rows, POLL_SECONDS))
                now = self._writer.clock()
                read = parts(messages, found, at, self._rules(now), now)
                if handed:
                    self._settle(handed)
                too_bad = self._judge(read)
                if too_bad or not read or time.monotonic() - self._noted_at > NOTE_SECONDS:
                    self._note(consumer)
                if too_bad:
                    raise too_bad
                at.update({part.place: part.next_offset for part in read})
                handed = self._hand(read) if read else None
                if time.monotonic() - looked > LOOK_SECONDS:
                    looked = time.monotonic()
                    if topics(self._settings) != found:
                        log.info("the topics of Kafka have changed")
                        break
            if handed:
                self._settle(handed)
            self._note(consumer)

    def _beginnings(self, found: dict[str, Topic]) -> dict[Place, int]:
        """Where the warehouse is, or where the log begins, if that is later.

        Raises Halted if a log ends before what was read of it.
        """
        at = {
            (topic.name, number): next_offset(self._writer.warehouse, topic.source, number)
            for topic in found.values()
            for number in range(topic.partitions)
        }
        for place, (first, end) in bounds(self._settings, at).items():
            name = f"{place[0]}/{place[1]}"
            if at[place] > end:
                raise Halted(
                    f"{name} ends at {end:,} and was read to {at[place]:,}: its log has lost messages",
                    "Delete the topic and make it again: it is then read from its start",
                )
            if 0 < at[place] < first:
                log.error("%d messages of %s were deleted in Kafka before they were read", first - at[place], name)
            at[place] = max(at[place], first)
        return at

    def _rules(self, now: Any) -> Rules:
        types = frozenset(STANDARD_TYPES).union(extra_event_types(self._settings))
        return Rules(now, types, self._settings.max_event_bytes)

    def _judge(self, read: Sequence[Part]) -> Halted | None:
        """What to raise if, with these, more than the permitted share of the latest messages is bad."""
        if not read:
            return None
        new = (sum(part.messages for part in read), sum(len(part.dead) for part in read))
        latest = [new]
        for earlier in reversed(self._judged):
            if sum(messages for messages, _ in latest) >= JUDGED:
                break
            latest.append(earlier)
        messages, bad = (sum(column) for column in zip(*latest, strict=True))
        if messages >= LEAST_JUDGED and bad > messages * self._settings.dead_letter_max_ratio:
            reason = next(letter.reason for part in read for letter in part.dead) if new[1] else "see dead_letters"
            return Halted(
                f"{bad:,} of the latest {messages:,} messages are bad, the last ones because of: {reason}",
                "Mend what sends them or reads them, or set ALSOBOUGHT_DEAD_LETTER_MAX_RATIO=1 to make dead letters of them",
            )
        self._judged = deque(reversed(latest))
        return None

    def _hand(self, read: Sequence[Part]) -> Handed:
        """To the writer, the dead letters first."""
        dead = [letter for part in read for letter in part.dead]
        letters = self._writer.run(MaintenanceTask(lambda: self._insert("dead_letters", dead))) if dead else None
        return Handed(read, letters, [self._submit(part) for part in read])

    def _submit(self, part: Part) -> Future[Stored] | None:
        while part.submission.rows:
            try:
                return self._writer.submit(part.submission)
            except Busy:
                self._stopped.wait(POLL_SECONDS)
                self._may_read()
        return None

    def _settle(self, handed: Handed) -> None:
        """Waits until all of it is stored. Raises what kept it from being stored."""
        if handed.letters:
            self._result(handed.letters)
        results = [self._result(future) if future else None for future in handed.stored]
        reach("stream.stored")
        for part, result in zip(handed.parts, results, strict=True):
            places = self._stored_of(part, result)
            refused = len(part.dead)
            read = Range(
                part.topic.source,
                part.partition,
                part.first_offset,
                part.next_offset,
                part.messages,
                places,
                part.messages - refused - places,
                refused,
                self._writer.clock(),
            )
            before = self._ranges.get(part.place)
            self._ranges[part.place] = before.and_then(read) if before else read
            self._unnoted.add(part.place)
            self.done.add(read)
        self.trouble = None

    def _note(self, consumer: Consumer) -> None:
        """What is stored was read: so in the warehouse, and then to Kafka. A range grows for a while under its first offset."""
        now = self._noted_at = time.monotonic()
        if self._unnoted:
            changed = [self._ranges[place] for place in self._unnoted]
            self._result(self._writer.run(MaintenanceTask(lambda: self._insert("ingest_ranges", changed))))
            reach("stream.noted")
            self._unnoted.clear()
            self._committed_at = 0.0
        if self._ranges and now - self._committed_at > COMMIT_SECONDS:
            _commit(consumer, {place: read.next_offset for place, read in self._ranges.items()})
            self._committed_at = now
            reach("stream.committed")
        if now - self._begun_at > RANGE_SECONDS:
            self._ranges, self._begun_at = {}, now

    @staticmethod
    def _stored_of(part: Part, stored: Stored | None) -> int:
        """Messages of a part that are in the warehouse now. An item that comes again is stored again."""
        if part.topic.of_items:
            return part.messages - len(part.dead)
        return stored.offsets if stored else 0

    def _insert(self, table: str, rows: Sequence[msgspec.Struct]) -> None:
        """In pieces that memory has room for: a dead letter may be a megabyte."""
        lines: list[bytes] = []
        size = 0
        for row in rows:
            lines.append(msgspec.json.encode(row))
            size += len(lines[-1])
            if len(lines) == PIECE_ROWS or size > PIECE_BYTES:
                self._writer.warehouse.insert(table, b"\n".join(lines))
                lines, size = [], 0
        if lines:
            self._writer.warehouse.insert(table, b"\n".join(lines))
        reach(f"stream.{table}")

    def _result(self, future: Future[Any]) -> Any:
        """Of something the writer does. Meanwhile the group hears from us."""
        while True:
            try:
                return future.result(1.0)
            except NotYet:
                self._may_read()


def _good(messages: Sequence[Any]) -> list[Any]:
    """The messages among what a consumer brings. Raises KafkaAway for an error that does not pass by itself."""
    passing = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._PARTITION_EOF, KafkaError._TIMED_OUT)
    good = []
    for message in messages:
        if error := message.error():
            if error.code() not in passing:
                raise KafkaAway(f"Kafka: {error.str()}")
            log.debug("Kafka: %s", error.str())
        else:
            good.append(message)
    return good


def _commit(consumer: Consumer, read: Mapping[Place, int]) -> None:
    """For displays of lag, so without waiting for an answer."""
    try:
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in read.items()]
        consumer.commit(offsets=offsets, asynchronous=True)
    except KafkaException as error:
        log.debug("Kafka does not take note of how far we are: %s", error)
