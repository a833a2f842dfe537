"""Sequence numbers: the clock in microseconds, except that no number is assigned twice or falls behind an earlier one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime


class SeqClock:
    """`last` is the newest number in use. The writers of several shards share one, so that no two events have the same seq.

    >>> from datetime import UTC
    >>> seq = SeqClock(lambda: datetime.fromtimestamp(2, UTC))
    >>> seq.take(), seq.take(), seq.take(10), seq.take()
    (2000000, 2000001, 2000002, 2000012)
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock, self.last = clock, 0
        self._lock = threading.Lock()

    def peek(self) -> int:
        """The number that `take` would return."""
        return max(self.last + 1, int(self._clock().timestamp() * 1_000_000))

    def take(self, count: int = 1) -> int:
        """The first of `count` consecutive numbers, all above those taken or seen before."""
        with self._lock:
            first = self.peek()
            self.last = first + count - 1
            return first

    def see(self, *numbers: int) -> None:
        """Numbers in use elsewhere: later ones will be above them."""
        with self._lock:
            self.last = max(self.last, *numbers)
