"""Consume Kafka: poll messages, submit them to the writer in partition order, then commit offsets.

After any error the messages in memory are dropped, and consumption resumes after a pause from the
offsets that the warehouse has checkpointed. A message that cannot be decoded is a dead letter, stored
before its offset is committed; when most messages are, the stream is halted (`dead_letter_ratio`).
Guests whom messages merge are merged, and attributes among events are stored, before the events of the
same poll.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import msgspec

from alsobought import tracing
from alsobought.errors import AlsoboughtError, Busy
from alsobought.failpoints import reach
from alsobought.kafka.batches import PartitionBatch, split_by_partition
from alsobought.kafka.client import (
    Partition,
    Topic,
    describe_topics,
    offset_bounds,
    open_consumer,
    without_errors,
)
from alsobought.kafka.connection import kafka_errors
from alsobought.kafka.dead_letter_ratio import DeadLetterRatio, Halted
from alsobought.kafka.halts import HaltRecorder
from alsobought.kafka.message_filter import message_filter
from alsobought.kafka.offset_commits import OffsetCommitter, commit_offsets
from alsobought.kafka.offset_ranges import OffsetRange
from alsobought.kafka.reader_lease import ReaderLease
from alsobought.kafka.schema_registry import json_reader
from alsobought.pipes.intake_rules import intake_rules
from alsobought.settings import Settings
from alsobought.storage.dropped_events import TABLE, dropped_events
from alsobought.storage.identities import unmerged
from alsobought.storage.ledger import next_offset
from alsobought.writer.sharded import AnyWriter
from alsobought.writer.submission import MaintenanceTask, Stored, Submission, utc_now

log = logging.getLogger(__name__)

POLL_SECONDS = 0.05
RETRY_SECONDS = 1.0
TOPIC_REFRESH_SECONDS = 10.0  # topics may get partitions, or be deleted and created again
CHUNK_ROWS, CHUNK_BYTES = 1000, 16_000_000


MergeGuests = Callable[[AnyWriter, Sequence[tuple[str, str]]], list[str]]


@dataclass
class Totals:
    """Messages since the start, by outcome."""

    messages: int = 0
    stored: int = 0
    duplicates: int = 0
    rejected: int = 0
    skipped: int = 0
    merged: int = 0

    def add(self, consumed: OffsetRange) -> None:
        self.messages += consumed.messages
        self.stored += consumed.stored
        self.duplicates += consumed.duplicates
        self.rejected += consumed.rejected
        self.skipped += consumed.skipped


@dataclass
class InFlight:
    """Batches at the writer: a future for all their dead letters, one for the rows of each, and those of attributes."""

    batches: Sequence[PartitionBatch]
    dead_letters: Future[None] | None
    attributes: Sequence[Future[Stored]]
    stored: Sequence[Future[Stored] | None]


class TopicConsumer:
    """Consumes the topics until it is stopped: call `run`, or `start` for a thread of its own.

    `merge` merges pairs of a guest and a user on the writer's thread, and returns the problem of each; without it, the
    messages that name them are skipped.
    """

    def __init__(self, writer: AnyWriter, settings: Settings, merge: MergeGuests | None = None) -> None:
        self._writer, self._settings, self._merge_guests = writer, settings, merge
        self._halts = HaltRecorder(
            writer.warehouse, writer.clock, lambda halt: self._insert_now("ingest_halts", [halt])
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self.run, name="kafka", daemon=True)
        self._lease: ReaderLease | None = None
        self._to_json = json_reader(settings)
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
            if isinstance(error, Halted):
                self._halts.begin(error.message, error.hint)
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
        self._halts.look_up()
        topics = describe_topics(self._settings)
        next_offsets = self._start_offsets(topics)
        in_flight: InFlight | None = None
        refreshed_at = time.monotonic()
        with kafka_errors(self._settings), closing(open_consumer(self._settings, next_offsets)) as consumer:
            ours_only = message_filter(self._settings.kafka_where)
            committer = OffsetCommitter(consumer, self._insert_checkpoint)
            commit_offsets(consumer, next_offsets)  # a process that was killed may have missed this
            while not self._stopped.is_set() and self._renew_lease():
                messages = without_errors(consumer.consume(self._settings.batch_rows, POLL_SECONDS), self._settings)
                now = self._writer.clock()
                with tracing.span("ingest", messages=len(messages)) if messages else nullcontext() as span:
                    rules = intake_rules(self._settings, now)
                    batches = split_by_partition(messages, topics, next_offsets, rules, now, ours_only, self._to_json)
                    tracing.note(span, rejected=sum(len(batch.dead_letters) for batch in batches), batches=len(batches))
                if in_flight:
                    self._settle(in_flight, committer)
                halted = self._ratio.add(batches)
                if halted or not batches or committer.due:
                    committer.commit()
                if halted:
                    raise halted
                self._merge(batches)
                next_offsets.update({batch.partition: batch.next_offset for batch in batches})
                in_flight = self._submit_all(batches) if batches else None
                if time.monotonic() - refreshed_at > TOPIC_REFRESH_SECONDS:
                    refreshed_at = time.monotonic()
                    self._halts.end()
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

    def _submit_all(self, batches: Sequence[PartitionBatch]) -> InFlight:
        """Hand batches to the writer, their dead letters first."""
        letters = [letter for batch in batches for letter in batch.dead_letters]
        inserted = self._writer.run(MaintenanceTask(lambda: self._insert("dead_letters", letters))) if letters else None
        users = [future for batch in batches if batch.attributes and (future := self._submit(batch.attributes))]
        return InFlight(batches, inserted, users, [self._submit(batch.submission) for batch in batches])

    def _submit(self, submission: Submission) -> Future[Stored] | None:
        while submission.rows:
            try:
                return self._writer.submit(submission)
            except Busy:
                self._stopped.wait(POLL_SECONDS)
                self._renew_lease()
        return None

    def _settle(self, in_flight: InFlight, committer: OffsetCommitter) -> None:
        """Wait until all of it is stored, and count it. Raises the error of the first that failed."""
        if in_flight.dead_letters:
            self._result(in_flight.dead_letters)
        for future in in_flight.attributes:
            self._result(future)
        results = [self._result(future) if future else None for future in in_flight.stored]
        reach("consumer.stored")
        for batch, result in zip(in_flight.batches, results, strict=True):
            consumed = batch.consumed(result.offsets if result else 0, self._writer.clock())
            committer.add(batch.partition, consumed)
            self.totals.add(consumed)
        if bots := [dropped.bot for batch in in_flight.batches for dropped in batch.dropped]:
            self._insert_now(TABLE, dropped_events(bots, utc_now()))
        self.error = None
        self._halts.end()

    def _merge(self, batches: Sequence[PartitionBatch]) -> None:
        """Merge the guests of these messages that are not merged yet. A refused merge is no reason to stop."""
        pairs = [(merge.guest_id, merge.user_id) for batch in batches for merge in batch.merges]
        merge_guests = self._merge_guests
        if not merge_guests or not (new := unmerged(self._writer.warehouse, pairs)):
            return
        task = MaintenanceTask(lambda: merge_guests(self._writer, new), exclusive=True)
        problems = self._result(self._writer.run(task))
        self.totals.merged += problems.count("")
        for problem in filter(None, problems):
            log.info("a guest was not merged: %s", problem)

    def _insert_checkpoint(self, ranges: Sequence[OffsetRange]) -> None:
        self._insert_now("ingest_ranges", ranges)

    def _insert_now(self, table: str, rows: Sequence[msgspec.Struct]) -> None:
        self._result(self._writer.run(MaintenanceTask(lambda: self._insert(table, rows))))

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
