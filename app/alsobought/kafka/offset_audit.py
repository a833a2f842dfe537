"""Audit offset ranges: gaps, sums that do not add up, and disagreement with Kafka's logs.

No offset was missed if each range of a partition begins where an earlier one ended, or before that
after a crash, and if every message of a range was stored, a duplicate, rejected, or skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from alsobought.kafka.client import Partition, Topic
from alsobought.kafka.offset_ranges import OffsetRange, topic_of
from alsobought.storage.warehouse import Warehouse

MAX_LISTED = 20  # alarms of each kind


class Gap(msgspec.Struct, frozen=True):
    """Missed offsets from `first_offset` to before `next_offset`, between consumed ones."""

    source: str
    partition: int
    first_offset: int
    next_offset: int

    def __str__(self) -> str:
        missed = self.next_offset - self.first_offset
        return f"{topic_of(self.source)}/{self.partition}: {missed:,} offsets from {self.first_offset} on were missed"


def gaps(warehouse: Warehouse) -> list[Gap]:
    """Offsets between the ranges of a partition.

    Those before its first range do not count: Kafka may have deleted them.
    """
    sql = f"""
        select source, partition, reached as first_offset, begins as next_offset
        from (
            select
                source, partition, first_offset as begins,
                row_number() over (partition by source, `partition` order by first_offset, next_offset) as nth,
                max(next_offset) over (
                    partition by source, `partition` order by first_offset, next_offset
                    rows between unbounded preceding and 1 preceding
                ) as reached
            from {warehouse.database}.ingest_ranges final
        )
        where nth > 1 and begins > reached
        order by source, partition, begins
    """
    return msgspec.convert(warehouse.trusted_rows(sql).dicts(), list[Gap])


def unbalanced_ranges(warehouse: Warehouse) -> list[OffsetRange]:
    """Ranges whose messages are not the sum of their outcomes, or are more than their offsets."""
    sql = (
        "select source, partition, first_offset, next_offset, messages, stored, repeats, refused, skipped"
        f" from {warehouse.database}.ingest_ranges final"
        " where messages != stored + repeats + refused + skipped or first_offset + messages > next_offset"
        " order by source, partition, first_offset, next_offset"
    )
    return msgspec.convert(warehouse.trusted_rows(sql).dicts(), list[OffsetRange])


def alarms(warehouse: Warehouse) -> list[str]:
    """Gaps and unbalanced ranges, a sentence each."""
    unbalanced = [_imbalance(unequal) for unequal in unbalanced_ranges(warehouse)]
    return [*_shortened([*map(str, gaps(warehouse))], "gaps"), *_shortened(unbalanced, "ranges do not add up")]


def log_alarms(
    topics: Mapping[str, Topic],
    bounds: Mapping[Partition, tuple[int, int]],
    next_offsets: Mapping[tuple[str, int], int],
) -> list[str]:
    """Partitions whose log lost messages before or after the offset to resume at."""
    sentences = []
    for (name, number), (first, end) in sorted(bounds.items()):
        resumes_at = next_offsets.get((topics[name].source, number), 0)
        if 0 < resumes_at < first:
            lost = f"{first - resumes_at:,} offsets from {resumes_at} on expired in Kafka before they were read"
            sentences.append(f"{name}/{number}: {lost}")
        if resumes_at > end:
            sentences.append(
                f"{name}/{number}: Kafka's log ends at {end}, before the next offset to read, {resumes_at}"
            )
    return sentences


def _imbalance(unequal: OffsetRange) -> str:
    problem = (
        f"{unequal.stored:,} stored, {unequal.duplicates:,} duplicates, {unequal.rejected:,} rejected"
        f" and {unequal.skipped:,} skipped are not {unequal.messages:,} messages"
    )
    if unequal.messages > unequal.next_offset - unequal.first_offset:
        problem = f"{unequal.messages:,} messages are more than there are offsets"
    where = f"{topic_of(unequal.source)}/{unequal.partition}"
    return f"{where}, offsets {unequal.first_offset} to {unequal.next_offset}: {problem}"


def _shortened(sentences: Sequence[str], kind: str) -> list[str]:
    more = [f"and {len(sentences) - MAX_LISTED:,} more {kind}"] if len(sentences) > MAX_LISTED else []
    return [*sentences[:MAX_LISTED], *more]
