"""Keep the messages of one shop, where a topic has those of several: `ALSOBOUGHT_KAFKA_WHERE`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from alsobought.json_values import to_id, value_at


@dataclass(frozen=True)
class MessageFilter:
    """`a.b|c=x|y` keeps messages of which the first value at one of the paths is one of these, whatever its case.

    >>> berlin = message_filter("properties.site|attributes.site=berlin")
    >>> berlin.keeps(b'{"properties": {"site": "Berlin"}}'), berlin.keeps(b'{"properties": {"site": "turku"}}'), berlin.keeps(b'{}')
    (True, False, False)
    """

    text: str
    paths: tuple[tuple[str, ...], ...] = ()
    values: frozenset[str] = frozenset()

    def keeps(self, body: bytes) -> bool:
        """True also for what is no JSON: it becomes a dead letter."""
        if not self.paths:
            return True
        try:
            message = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return True
        values = (_value_at(message, path) for path in self.paths)
        return next((value for value in values if value), "") in self.values


EVERYTHING = MessageFilter("")


@lru_cache
def message_filter(text: str) -> MessageFilter:
    """The filter of a setting; an empty one keeps everything."""
    if not text:
        return EVERYTHING
    paths, _, values = text.partition("=")
    return MessageFilter(
        text,
        tuple(tuple(path.strip().split(".")) for path in paths.split("|")),
        frozenset(value.strip().casefold() for value in values.split("|")),
    )


def _value_at(value: Any, path: tuple[str, ...]) -> str:
    plain = to_id(value_at(value, path))
    return plain.strip().casefold() if isinstance(plain, str) else ""
