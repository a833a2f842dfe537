"""Decide when too many of the latest messages are dead letters; `kafka.consumer` then halts, and tries again.

A producer's mistake would otherwise drain the topic into `dead_letters`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from alsobought.errors import AlsoboughtError
from alsobought.kafka.batches import PartitionBatch

WINDOW_MESSAGES = 1000  # the ratio is taken over at least so many of the latest messages
MIN_MESSAGES = 100  # with fewer than this in the window nothing halts


class Halted(AlsoboughtError):
    """Consumption cannot continue without harm until somebody intervenes."""


class DeadLetterRatio:
    """The share of dead letters among the latest messages, over a sliding window of whole polls.

    Skipped messages do not count: in a topic that is mostly not ours they would hide the dead letters.
    """

    def __init__(self, max_ratio: float) -> None:
        self.max_ratio = max_ratio
        self._polls: deque[tuple[int, int]] = deque()  # (messages, dead letters), oldest first

    def add(self, batches: Sequence[PartitionBatch]) -> Halted | None:
        """Count the batches of a poll; if they exceed the ratio, return the error instead."""
        poll = (
            sum(batch.messages - batch.skipped for batch in batches),
            sum(len(batch.dead_letters) for batch in batches),
        )
        if not poll[0]:
            return None
        latest = [poll]
        for earlier in reversed(self._polls):
            if sum(messages for messages, _ in latest) >= WINDOW_MESSAGES:
                break
            latest.append(earlier)
        messages, dead = (sum(column) for column in zip(*latest, strict=True))
        if messages >= MIN_MESSAGES and dead > messages * self.max_ratio:
            reasons = (letter.reason for batch in batches for letter in batch.dead_letters)
            return Halted(
                f"halted: {dead:,} of the latest {messages:,} messages are dead letters; last reason:"
                f" {next(reasons, 'see dead_letters')}",
                "Fix the producer or the settings, or set ALSOBOUGHT_DEAD_LETTER_MAX_RATIO=1 to accept them as dead letters",
            )
        self._polls = deque(reversed(latest))
        return None
