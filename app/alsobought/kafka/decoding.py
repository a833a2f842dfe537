"""Decode the body of a Kafka message to events, items or users, or make a dead letter of it. Pure.

A body is one event, one item, one user, or a message in one of the formats of `formats`, by its shape. Such a
message can hold several events: all of them are accepted, or none.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from datetime import datetime

import msgspec

from alsobought.events import Rules
from alsobought.formats.reading import Decoded, read_objects
from alsobought.items import Item, read_items
from alsobought.kafka.client import Topic
from alsobought.users import User, read_users


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that could not be decoded, as a row of `dead_letters`."""

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
        """The body is text if the bytes are UTF-8, else base64.

        >>> topic, noon = Topic("events", "x7Yk"), datetime(2026, 1, 1, 12)
        >>> DeadLetter.of(topic, 3, 1042, "not JSON", b"tea?", noon).body
        'tea?'
        >>> letter = DeadLetter.of(topic, 3, 1043, "not JSON", b"\\xff", noon)
        >>> letter.encoding, letter.body, letter.message
        ('base64', '/w==', b'\\xff')
        """
        return cls(topic.source, topic.name, partition, offset, reason, *cls.of_message(message), noted_at)

    @staticmethod
    def of_message(message: bytes) -> tuple[str, str]:
        """The encoding and the body of a message."""
        try:
            return "utf-8", message.decode()
        except UnicodeDecodeError:
            return "base64", b64encode(message).decode()

    @property
    def message(self) -> bytes:
        """The original bytes."""
        return b64decode(self.body) if self.encoding == "base64" else self.body.encode()


def decode_events(body: bytes, rules: Rules) -> Decoded | str:
    """The events of one message, which has none if it is none of ours, or the reason why it cannot be decoded.

    >>> from datetime import UTC
    >>> rules = Rules(datetime(2026, 1, 1, tzinfo=UTC))
    >>> decode_events(b'{"event_type": "buy", "user_id": "ada", "item_id": "tea"}', rules)[:36]
    "event_type: 'buy' is not one of add_"
    """
    return next(read_objects([body], rules))


def decode_items(body: bytes, rules: Rules) -> Sequence[Item] | str:
    """The item of one message, or the reason why it has none."""
    items, rejected = read_items([body], rules.max_bytes, placeholders=rules.placeholders)
    return rejected[0].problem if rejected else items


def decode_users(body: bytes, rules: Rules) -> Sequence[User] | str:
    """The user of one message, or the reason why it has none."""
    users, rejected = read_users([body], rules.max_bytes, rules.now, placeholders=rules.placeholders)
    return rejected[0].problem if rejected else users
