"""Group polled messages by partition and decode each group to rows and dead letters. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from alsobought.events import Rules
from alsobought.formats.calls import Dropped, Merge
from alsobought.formats.reading import read_objects
from alsobought.kafka.client import Partition, Topic
from alsobought.kafka.decoding import DeadLetter, decode_items, decode_users
from alsobought.kafka.message_filter import EVERYTHING, MessageFilter
from alsobought.kafka.offset_ranges import OffsetRange
from alsobought.kafka.schema_registry import ToJson, without_registry
from alsobought.users import User
from alsobought.writer.submission import Kind, SentRows, Submission

Decode = Callable[[bytes, Rules], SentRows | str]


class Message(Protocol):
    """The part of confluent_kafka.Message that is used here."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def value(self) -> bytes | None: ...
    def timestamp(self) -> tuple[int, int]: ...


@dataclass(frozen=True)
class PartitionBatch:
    """Consecutive messages of a partition, from `first_offset` to before `next_offset`.

    `skipped` is the number of messages without events: those of analytics tools that are none of ours, `merges` and
    `attributes`, those whose events were all `dropped`, and those of other shops.
    """

    topic: Topic
    number: int
    first_offset: int
    next_offset: int
    messages: int
    submission: Submission
    dead_letters: Sequence[DeadLetter]
    skipped: int = 0
    merges: Sequence[Merge] = ()
    dropped: Sequence[Dropped] = ()
    attributes: Submission | None = None

    @property
    def partition(self) -> Partition:
        return self.topic.name, self.number

    def consumed(self, stored: int, noted_at: datetime) -> OffsetRange:
        """The offset range of the batch; `stored` is the number of offsets that have events now."""
        rejected = len(self.dead_letters)
        if self.topic.kind != "event":  # an item that is sent again is stored again
            stored = self.messages - rejected - self.skipped
        return OffsetRange(
            self.topic.source,
            self.number,
            self.first_offset,
            self.next_offset,
            self.messages,
            stored,
            self.messages - rejected - self.skipped - stored,
            rejected,
            noted_at,
            self.skipped,
        )


def split_by_partition(
    messages: Iterable[Message],
    topics: Mapping[str, Topic],
    next_offsets: Mapping[Partition, int],
    rules: Rules,
    now: datetime,
    ours_only: MessageFilter = EVERYTHING,
    to_json: ToJson = without_registry,
) -> list[PartitionBatch]:
    """One batch per partition, items and users first.

    `next_offsets` is where each partition was read to before; messages that the filter does not keep are skipped. `to_json`
    may raise RegistryUnavailable.
    """
    by_partition: dict[Partition, list[Message]] = defaultdict(list)
    for message in messages:
        by_partition[message.topic(), message.partition()].append(message)
    ordered = sorted(by_partition.items(), key=lambda entry: (topics[entry[0][0]].kind == "event", entry[0]))
    return [
        _batch(topics[partition[0]], partition[1], next_offsets[partition], group, rules, now, ours_only, to_json)
        for partition, group in ordered
    ]


def _batch(
    topic: Topic,
    number: int,
    first_offset: int,
    messages: Sequence[Message],
    rules: Rules,
    now: datetime,
    ours_only: MessageFilter,
    to_json: ToJson,
) -> PartitionBatch:
    read = {message.offset(): to_json(message.value() or b"") for message in messages}
    unreadable = {offset: reason for offset, reason in read.items() if isinstance(reason, str)}
    ours = {offset: body for offset, body in read.items() if isinstance(body, bytes) and ours_only.keeps(body)}
    offsets, bodies = list(ours), list(ours.values())
    decoded = _DECODE[topic.kind](bodies, offsets, rules)
    reasons = decoded.reasons | unreadable
    dead_letters = [
        DeadLetter.of(topic, number, message.offset(), reason, message.value() or b"", now)
        for message in (messages if reasons else ())
        if (reason := reasons.get(message.offset()))
    ]
    submission = Submission(
        decoded.rows,
        topic.source,
        decoded.offsets if topic.kind == "event" else None,
        partition=number,
        sent_at=lambda: _sent_at(messages, decoded.offsets),
        size=sum(map(len, bodies)),
    )
    next_offset, skipped = messages[-1].offset() + 1, decoded.skipped + len(messages) - len(ours) - len(unreadable)
    users, user_offsets = decoded.users, decoded.user_offsets
    return PartitionBatch(
        topic,
        number,
        first_offset,
        next_offset,
        len(messages),
        submission,
        dead_letters,
        skipped,
        decoded.merges,
        decoded.dropped,
        Submission(users, topic.source, sent_at=lambda: _sent_at(messages, user_offsets)) if users else None,
    )


def _sent_at(messages: Sequence[Message], offsets: Sequence[int]) -> list[datetime]:
    """Kafka's timestamp of the message at each of these offsets."""
    times = {message.offset(): datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC) for message in messages}
    return [times[offset] for offset in offsets]


@dataclass
class _Decoded:
    """Messages by outcome: the rows, the offset of each row, {offset: reason} of undecodable messages, and the others.

    `users` are those whose attributes came among events.
    """

    rows: list[Any] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    reasons: dict[int, str] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    users: list[User] = field(default_factory=list)
    user_offsets: list[int] = field(default_factory=list)
    skipped: int = 0


def _decode_rows(decode: Decode, bodies: Sequence[bytes], offsets: Sequence[int], rules: Rules) -> _Decoded:
    """Items or users: one in each message."""
    decoded = _Decoded()
    for offset, body in zip(offsets, bodies, strict=True):
        rows = decode(body, rules)
        if isinstance(rows, str):
            decoded.reasons[offset] = rows
        else:
            decoded.rows += rows
            decoded.offsets += [offset] * len(rows)
    return decoded


def _decode_events(bodies: Sequence[bytes], offsets: Sequence[int], rules: Rules) -> _Decoded:
    decoded = _Decoded()
    for offset, result in zip(offsets, read_objects(bodies, rules), strict=True):
        if isinstance(result, str):
            decoded.reasons[offset] = result
            continue
        decoded.rows += result.events
        decoded.offsets += [offset] * len(result.events)
        decoded.merges += result.merges
        decoded.dropped += result.dropped
        decoded.users += result.users
        decoded.user_offsets += [offset] * len(result.users)
        decoded.skipped += not result.events
    return decoded


_DECODE: Mapping[Kind, Callable[[Sequence[bytes], Sequence[int], Rules], _Decoded]] = {
    "event": _decode_events,
    "item": partial(_decode_rows, decode_items),
    "user": partial(_decode_rows, decode_users),
}
