"""What a message of Kafka holds: events or items, or a dead letter. Pure.

One body is one event of ours, one item, or one of Segment's track calls, of which several events may come: all of them or none.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime

import msgspec

from alsobought.events import Event, Item, Rules, event_problem, read_events, read_items
from alsobought.kafka.client import Topic
from alsobought.kafka.segment import events_of, looks_like_track


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that no event or item could be made of, as `dead_letters` stores it."""

    source: str
    topic: str
    partition: int
    offset: int
    reason: str
    encoding: str
    body: str
    noted_at: datetime
    replayed_at: datetime | None = None

    @classmethod
    def of(
        cls, topic: Topic, partition: int, offset: int, reason: str, message: bytes, noted_at: datetime
    ) -> DeadLetter:
        """The bytes are kept as text if they are UTF-8, else in base64.

        >>> topic, noon = Topic("events", "x7Yk"), datetime(2026, 1, 1, 12)
        >>> DeadLetter.of(topic, 3, 1042, "not JSON", b"tea?", noon).body
        'tea?'
        >>> letter = DeadLetter.of(topic, 3, 1043, "not JSON", b"\\xff", noon)
        >>> letter.encoding, letter.body, letter.message
        ('base64', '/w==', b'\\xff')
        """
        try:
            encoding, body = "utf-8", message.decode()
        except UnicodeDecodeError:
            encoding, body = "base64", b64encode(message).decode()
        return cls(topic.source, topic.name, partition, offset, reason, encoding, body, noted_at)

    @property
    def message(self) -> bytes:
        """The bytes as Kafka had them."""
        return b64decode(self.body) if self.encoding == "base64" else self.body.encode()


def events_of_message(body: bytes, rules: Rules) -> Sequence[Event] | str:
    """The events of one message, or the sentence that says why there are none.

    >>> from datetime import UTC
    >>> rules = Rules(datetime(2026, 1, 1, tzinfo=UTC))
    >>> events_of_message(b'{"event_type": "buy", "user_id": "ada", "item_id": "tea"}', rules)[:36]
    "event_type: 'buy' is not one of add_"
    """
    good, bad = read_events([body], rules)
    if not bad:
        return good
    if looks_like_track(body) and len(body) <= rules.max_bytes:
        found = events_of(body)
        if isinstance(found, str):
            return found
        problems = [problem for event in found if (problem := event_problem(event, rules))]
        return problems[0] if problems else found
    return bad[0].problem


def items_of_message(body: bytes, max_bytes: int) -> Sequence[Item] | str:
    """The item of one message, or the sentence that says why there is none."""
    good, bad = read_items([body], max_bytes)
    return bad[0].problem if bad else good
