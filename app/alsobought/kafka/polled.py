"""What was read of Kafka at once, part by part: what is to be stored of it, and the dead letters among it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from alsobought.events import Rules, read_events
from alsobought.kafka.client import Place, Topic
from alsobought.kafka.decoding import DeadLetter, events_of_message, items_of_message
from alsobought.writer.submission import Submission


class Message(Protocol):
    """What of a message of Kafka's client is asked here."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def value(self) -> bytes | None: ...
    def timestamp(self) -> tuple[int, int]: ...


@dataclass(frozen=True)
class Part:
    """Messages of one partition that follow each other: offsets from `first_offset` to below `next_offset`."""

    topic: Topic
    partition: int
    first_offset: int
    next_offset: int
    messages: int
    submission: Submission
    dead: Sequence[DeadLetter]

    @property
    def place(self) -> Place:
        return self.topic.name, self.partition


def parts(
    messages: Iterable[Message], topics: Mapping[str, Topic], at: Mapping[Place, int], rules: Rules, now: datetime
) -> list[Part]:
    """The messages by partition, items first. `at` says where each partition was read to before."""
    by_place: dict[Place, list[Message]] = defaultdict(list)
    for message in messages:
        by_place[message.topic(), message.partition()].append(message)
    ordered = sorted(by_place.items(), key=lambda entry: (not topics[entry[0][0]].of_items, entry[0]))
    return [_part(topics[place[0]], place[1], at[place], found, rules, now) for place, found in ordered]


def _part(topic: Topic, partition: int, first: int, messages: Sequence[Message], rules: Rules, now: datetime) -> Part:
    bodies = [message.value() or b"" for message in messages]
    offsets = [message.offset() for message in messages]
    rows, places, refused = _rows(bodies, offsets, topic.of_items, rules)
    dead = [
        DeadLetter.of(topic, partition, offset, reason, body, now)
        for offset, body in zip(offsets, bodies, strict=True)
        if (reason := refused.get(offset))
    ]
    submission = Submission(
        rows,
        topic.source,
        None if topic.of_items else places,
        partition=partition,
        sent_at=lambda: _sent(messages, places),
    )
    return Part(topic, partition, first, offsets[-1] + 1, len(messages), submission, dead)


def _sent(messages: Sequence[Message], places: Sequence[int]) -> list[datetime]:
    """Since when Kafka has the message at each of these offsets."""
    times = {one.offset(): datetime.fromtimestamp(one.timestamp()[1] / 1000, UTC) for one in messages}
    return [times[place] for place in places]


def _rows(
    bodies: Sequence[bytes], offsets: Sequence[int], of_items: bool, rules: Rules
) -> tuple[Sequence[Any], list[int], dict[int, str]]:
    """Rows, the offset of each, and why the messages at other offsets were refused."""
    found: list[Any] = []
    if of_items:
        found = [items_of_message(body, rules.max_bytes) for body in bodies]
    else:  # nearly all are events of ours: those are read at once, and only the others one by one
        good, bad = read_events(bodies, rules)
        if not bad:
            return good, list(offsets), {}
        others, ours = {one.index for one in bad}, iter(good)
        found = [
            events_of_message(body, rules) if index in others else [next(ours)] for index, body in enumerate(bodies)
        ]
    rows: list[Any] = []
    places: list[int] = []
    refused: dict[int, str] = {}
    for offset, told in zip(offsets, found, strict=True):
        if isinstance(told, str):
            refused[offset] = told
        else:
            rows += told
            places += [offset] * len(told)
    return rows, places, refused
