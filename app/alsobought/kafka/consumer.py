"""Consume Kafka: poll messages, submit them to the writer in partition order, then commit offsets.

After any error the messages in memory are dropped, and consumption resumes after a pause from the
offsets that the warehouse has checkpointed. A message that cannot be decoded is a dead letter, stored
before its offset is committed; when most messages are, the stream is halted (`dead_letter_ratio`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from confluent_kafka import KafkaError

from alsobought.errors import AlsoboughtError, Busy
from alsobought.events import STANDARD_TYPES, Rules
from alsobought.failpoints import reach
from alsobought.kafka.batches import PartitionBatch, split_by_partition
from alsobought.kafka.client import (
    KafkaUnavailable,
    Partition,
    Topic,
    describe_topics,
    kafka_errors,
    offset_bounds,
    open_consumer,
)
from alsobought.kafka.dead_letter_ratio import DeadLetterRatio, Halted
from alsobought.kafka.offset_commits import OffsetCommitter, commit_offsets
from alsobought.kafka.offset_ranges import OffsetRange
from alsobought.kafka.reader_lease import ReaderLease
from alsobought.pipes.placeholder_file import placeholders_of
from alsobought.settings import Settings, extra_event_types
from alsobought.storage.ledger import next_offset
from alsobought.writer.submission import MaintenanceTask, Stored
from alsobought.writer.writer import Writer

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
RETRY_SECONDS = 1.0
TOPIC_REFRESH_SECONDS = 10.0  # topics may get partitions, or be deleted and created again
CHUNK_ROWS, CHUNK_BYTES = 1000, 16_000_000
TRANSIENT_ERRORS = (
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._PARTITION_EOF,
    KafkaError._TIMED_OUT,
)


@dataclass
class Totals:
    """Messages since the start, by outcome."""

    messages: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0

    def add(self, consumed: OffsetRange) -> None:
        self.messages += consumed.messages
        self.stored += consumed.stored
        self.duplicates += consumed.duplicates
        self.rejected += consumed.rejected


@dataclass
class InFlight:
    """Batches at the writer: a future for all their dead letters, and one for the rows of each."""

    batches: Sequence[PartitionBatch]
    dead_letters: Future[None] | None
    stored: Sequence[Future[Stored] | None]


class TopicConsumer:
    """Consumes both topics until it is stopped: call `run`, or `start` for a thread of its own."""

    def __init__(self, writer: Writer, settings: Settings) -> None:
        self._writer, self._settings = writer, settings
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self.run, name="kafka", daemon=True)
        self._lease: ReaderLease | None = None
        self._ratio = DeadLetterRatio(settings.dead_letter_max_ratio)
        self.totals = Totals()
        self.error: AlsoboughtError | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop after the batches in flight.

        Waits for them if the consumer has a thread of its own.
        """
        self._stopped.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    @property
    def active(self) -> bool:
        """False while another process holds the lease."""
        return self._lease is None or self._lease.held

    def run(self) -> None:
        """Blocks until stopped.

        An embedded warehouse has one process only, so it needs no lease.
        """
        if not self._writer.warehouse.embedded:
            self._lease = ReaderLease(self._settings)
        try:
            while not self._stopped.is_set():
                with self._pause_on_error():
                    if self._renew_lease(POLL_SECONDS):
                        self._consume()
        finally:
            if self._lease:
                self._lease.close()

    @contextmanager
    def _pause_on_error(self) -> Iterator[None]:
        try:
            yield
        except AlsoboughtError as error:
            if str(error) != str(self.error):
                level = logging.ERROR if isinstance(error, Halted) else logging.WARNING
                log.log(level, "Kafka ingestion paused: %s", error)
            self.error = error
        except Exception as error:
            log.exception("Kafka ingestion failed")
            self.error = AlsoboughtError(f"ingestion failed: {type(error).__name__}", "See the log")
        else:
            return
        deadline = time.monotonic() + RETRY_SECONDS
        while time.monotonic() < deadline and not self._stopped.wait(POLL_SECONDS):
            self._renew_lease()

    def _renew_lease(self, seconds: float = 0.0) -> bool:
        return self._lease is None or self._lease.renew(seconds)

    def _consume(self) -> None:
        """The poll loop: until it is stopped, the lease is lost, or the topics change.

        One poll is in flight with the writer while the next is decoded.
        """
        self._result(self._writer.run(MaintenanceTask(self._writer.begin)))  # recover from a crash
        topics = describe_topics(self._settings)
        next_offsets = self._start_offsets(topics)
        in_flight: InFlight | None = None
        refreshed_at = time.monotonic()
        with kafka_errors(self._settings.kafka), closing(open_consumer(self._settings, next_offsets)) as consumer:
            committer = OffsetCommitter(consumer, self._insert_checkpoint)
            commit_offsets(consumer, next_offsets)  # a process that was killed may have missed this
            while not self._stopped.is_set() and self._renew_lease():
                messages = _without_errors(consumer.consume(self._settings.batch_rows, POLL_SECONDS))
                now = self._writer.clock()
                batches = split_by_partition(messages, topics, next_offsets, self._rules(now), now)
                if in_flight:
                    self._settle(in_flight, committer)
                halted = self._ratio.add(batches)
                if halted or not batches or committer.due:
                    committer.commit()
                if halted:
                    raise halted
                next_offsets.update({batch.partition: batch.next_offset for batch in batches})
                in_flight = self._submit_all(batches) if batches else None
                if time.monotonic() - refreshed_at > TOPIC_REFRESH_SECONDS:
                    refreshed_at = time.monotonic()
                    if describe_topics(self._settings) != topics:
                        log.info("the topics of Kafka have changed")
                        break
            if in_flight:
                self._settle(in_flight, committer)
            committer.commit()

    def _start_offsets(self, topics: dict[str, Topic]) -> dict[Partition, int]:
        """The checkpoint of each partition, or the first offset that Kafka still has, if later.

        Raises Halted if a log ends before its checkpoint.
        """
        offsets = {
            (topic.name, number): next_offset(self._writer.warehouse, topic.source, number)
            for topic in topics.values()
            for number in range(topic.partitions)
        }
        for partition, (first, end) in offset_bounds(self._settings, offsets).items():
            name, checkpoint = f"{partition[0]}/{partition[1]}", offsets[partition]
            if checkpoint > end:
                raise Halted(
                    f"halted: {name} ends at {end:,} but was read up to {checkpoint:,}, so its log has lost messages",
                    "Delete the topic and create it again: it is then read from its start",
                )
            if 0 < checkpoint < first:
                log.error("%d messages of %s expired in Kafka before they were read", first - checkpoint, name)
            offsets[partition] = max(checkpoint, first)
        return offsets

    def _rules(self, now: datetime) -> Rules:
        types = frozenset(STANDARD_TYPES).union(extra_event_types(self._settings))
        return Rules(now, types, self._settings.max_event_bytes, placeholders_of(self._settings.home_folder))

    def _submit_all(self, batches: Sequence[PartitionBatch]) -> InFlight:
        """Hand batches to the writer, their dead letters first."""
        letters = [letter for batch in batches for letter in batch.dead_letters]
        inserted = self._writer.run(MaintenanceTask(lambda: self._insert("dead_letters", letters))) if letters else None
        return InFlight(batches, inserted, [self._submit(batch) for batch in batches])

    def _submit(self, batch: PartitionBatch) -> Future[Stored] | None:
        while batch.submission.rows:
            try:
                return self._writer.submit(batch.submission)
            except Busy:
                self._stopped.wait(POLL_SECONDS)
                self._renew_lease()
        return None

    def _settle(self, in_flight: InFlight, committer: OffsetCommitter) -> None:
        """Wait until all of it is stored, and count it. Raises the error of the first that failed."""
        if in_flight.dead_letters:
            self._result(in_flight.dead_letters)
        results = [self._result(future) if future else None for future in in_flight.stored]
        reach("consumer.stored")
        for batch, result in zip(in_flight.batches, results, strict=True):
            consumed = self._offset_range(batch, result)
            committer.add(batch.partition, consumed)
            self.totals.add(consumed)
        self.error = None

    def _offset_range(self, batch: PartitionBatch, result: Stored | None) -> OffsetRange:
        rejected = len(batch.dead_letters)
        stored = result.offsets if result else 0
        if batch.topic.has_items:  # an item that is sent again is stored again
            stored = batch.messages - rejected
        return OffsetRange(
            batch.topic.source,
            batch.number,
            batch.first_offset,
            batch.next_offset,
            batch.messages,
            stored,
            batch.messages - rejected - stored,
            rejected,
            self._writer.clock(),
        )

    def _insert_checkpoint(self, ranges: Sequence[OffsetRange]) -> None:
        self._result(self._writer.run(MaintenanceTask(lambda: self._insert("ingest_ranges", ranges))))

    def _insert(self, table: str, rows: Sequence[msgspec.Struct]) -> None:
        """In chunks that fit in memory: a dead letter can have a megabyte."""
        lines: list[bytes] = []
        size = 0
        for row in rows:
            lines.append(msgspec.json.encode(row))
            size += len(lines[-1])
            if len(lines) == CHUNK_ROWS or size > CHUNK_BYTES:
                self._writer.warehouse.insert(table, b"\n".join(lines))
                lines, size = [], 0
        if lines:
            self._writer.warehouse.insert(table, b"\n".join(lines))
        reach(f"consumer.{table}")

    def _result(self, future: Future[Any]) -> Any:
        """The result of a future of the writer. Renews the lease while it waits."""
        while True:
            try:
                return future.result(1.0)
            except FutureTimeout:
                self._renew_lease()


def _without_errors(messages: Sequence[Any]) -> list[Any]:
    """The messages of a poll without its transient errors.

    Raises KafkaUnavailable for any other error.
    """
    received = []
    for message in messages:
        if error := message.error():
            if error.code() not in TRANSIENT_ERRORS:
                raise KafkaUnavailable(f"Kafka: {error.str()}")
            log.debug("Kafka: %s", error.str())
        else:
            received.append(message)
    return received
