"""Group polled messages by partition and decode each group to rows and dead letters. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from alsobought.events import Rules, read_events
from alsobought.kafka.client import Partition, Topic
from alsobought.kafka.decoding import DeadLetter, decode_events, decode_items
from alsobought.writer.submission import Submission


class Message(Protocol):
    """The part of confluent_kafka.Message that is used here."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def value(self) -> bytes | None: ...
    def timestamp(self) -> tuple[int, int]: ...


@dataclass(frozen=True)
class PartitionBatch:
    """Consecutive messages of a partition, from `first_offset` to before `next_offset`."""

    topic: Topic
    number: int
    first_offset: int
    next_offset: int
    messages: int
    submission: Submission
    dead_letters: Sequence[DeadLetter]

    @property
    def partition(self) -> Partition:
        return self.topic.name, self.number


def split_by_partition(
    messages: Iterable[Message],
    topics: Mapping[str, Topic],
    next_offsets: Mapping[Partition, int],
    rules: Rules,
    now: datetime,
) -> list[PartitionBatch]:
    """One batch per partition, items first.

    `next_offsets` is where each partition was read to before.
    """
    by_partition: dict[Partition, list[Message]] = defaultdict(list)
    for message in messages:
        by_partition[message.topic(), message.partition()].append(message)
    ordered = sorted(by_partition.items(), key=lambda entry: (not topics[entry[0][0]].has_items, entry[0]))
    return [
        _batch(topics[partition[0]], partition[1], next_offsets[partition], group, rules, now)
        for partition, group in ordered
    ]


def _batch(
    topic: Topic, number: int, first_offset: int, messages: Sequence[Message], rules: Rules, now: datetime
) -> PartitionBatch:
    bodies = [message.value() or b"" for message in messages]
    offsets = [message.offset() for message in messages]
    rows, row_offsets, reasons = _decode(bodies, offsets, topic.has_items, rules)
    dead_letters = [
        DeadLetter.of(topic, number, offset, reason, body, now)
        for offset, body in zip(offsets, bodies, strict=True)
        if (reason := reasons.get(offset))
    ]
    submission = Submission(
        rows,
        topic.source,
        None if topic.has_items else row_offsets,
        partition=number,
        sent_at=lambda: _sent_at(messages, row_offsets),
    )
    return PartitionBatch(topic, number, first_offset, offsets[-1] + 1, len(messages), submission, dead_letters)


def _sent_at(messages: Sequence[Message], offsets: Sequence[int]) -> list[datetime]:
    """Kafka's timestamp of the message at each of these offsets."""
    times = {message.offset(): datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC) for message in messages}
    return [times[offset] for offset in offsets]


def _decode(
    bodies: Sequence[bytes], offsets: Sequence[int], has_items: bool, rules: Rules
) -> tuple[Sequence[Any], list[int], dict[int, str]]:
    """The rows, the offset of each row, and {offset: reason} of undecodable messages."""
    results: list[Any] = []
    if has_items:
        results = [decode_items(body, rules) for body in bodies]
    else:  # nearly all are plain events: decode those in one call, and only the others one by one
        events, rejected = read_events(bodies, rules)
        if not rejected:
            return events, list(offsets), {}
        others, plain = {reject.index for reject in rejected}, iter(events)
        results = [
            decode_events(body, rules) if index in others else [next(plain)] for index, body in enumerate(bodies)
        ]
    rows: list[Any] = []
    row_offsets: list[int] = []
    reasons: dict[int, str] = {}
    for offset, result in zip(offsets, results, strict=True):
        if isinstance(result, str):
            reasons[offset] = result
        else:
            rows += result
            row_offsets += [offset] * len(result)
    return rows, row_offsets, reasons
