"""Commit offsets: first as a checkpoint in the warehouse, then to Kafka.

Consumption resumes from the checkpoint. A crash between storing rows and the checkpoint reads a
batch again, and the writer drops its duplicates by source and offset.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import Consumer, KafkaException, TopicPartition

from alsobought.failpoints import reach
from alsobought.kafka.client import Partition
from alsobought.kafka.offset_ranges import OffsetRange

log = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 0.5  # the longest time between checkpoints while messages keep coming
COMMIT_SECONDS = 5.0  # commit to Kafka again after this long: a commit may get lost
RANGE_SECONDS = 60.0  # the age at which a range is closed and the next one begins


class OffsetCommitter:
    """Collects consumed ranges and commits them.

    A range grows under its first offset, so a checkpoint replaces the one before.
    """

    def __init__(self, consumer: Consumer, insert: Callable[[Sequence[OffsetRange]], object]) -> None:
        self._consumer, self._insert = consumer, insert
        self._ranges: dict[Partition, OffsetRange] = {}
        self._changed: set[Partition] = set()
        self._opened_at = self._checkpoint_at = time.monotonic()
        self._committed_at = 0.0

    @property
    def due(self) -> bool:
        return time.monotonic() - self._checkpoint_at > CHECKPOINT_SECONDS

    def add(self, partition: Partition, consumed: OffsetRange) -> None:
        before = self._ranges.get(partition)
        self._ranges[partition] = before.merged_with(consumed) if before else consumed
        self._changed.add(partition)

    def commit(self) -> None:
        """Raises what the insert of the checkpoint raises; Kafka is committed to only after it."""
        now = self._checkpoint_at = time.monotonic()
        if self._changed:
            self._insert([self._ranges[partition] for partition in self._changed])
            reach("consumer.checkpointed")
            self._changed.clear()
            self._committed_at = 0.0
        if self._ranges and now - self._committed_at > COMMIT_SECONDS:
            commit_offsets(self._consumer, {key: consumed.next_offset for key, consumed in self._ranges.items()})
            self._committed_at = now
            reach("consumer.committed")
        if now - self._opened_at > RANGE_SECONDS:
            self._ranges, self._opened_at = {}, now


def commit_offsets(consumer: Consumer, next_offsets: Mapping[Partition, int]) -> None:
    """Commit to Kafka without waiting for the reply: only displays of lag use these offsets."""
    try:
        offsets = [TopicPartition(topic, number, offset) for (topic, number), offset in next_offsets.items()]
        consumer.commit(offsets=offsets, asynchronous=True)
    except KafkaException as error:
        log.debug("offsets were not committed to Kafka: %s", error)
