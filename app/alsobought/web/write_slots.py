"""Write slots: all threads but two may wait for the writer, so that reads go on, and they decode only so many bytes at a time.

Slots usually become free within milliseconds, so one more write waits a moment for a slot. Once
such a wait was in vain the writer is stuck, and further writes fail at once until a slot becomes
free.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from alsobought.errors import Busy

THREADS_FOR_READS = 2
WAIT_SECONDS = 1.0


class WriteSlots:
    """`with slots.acquire(size): …`. Thread-safe. A body may take as much as there is if it is alone."""

    def __init__(self, threads: int, max_bytes: int) -> None:
        self._changed = threading.Condition()
        self._free, self._max_bytes = max(1, threads - THREADS_FOR_READS), max_bytes
        self._bytes = 0
        self._stuck = False

    @contextmanager
    def acquire(self, size: int = 0) -> Iterator[None]:
        """Hold a slot for a body of this many bytes. Raises Busy if none becomes free in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._has_room(size), timeout=0 if self._stuck else WAIT_SECONDS):
                self._stuck = self._free == 0
                raise Busy("the writer is busy", "Nothing was stored: send the same request again in a second")
            self._free -= 1
            self._bytes += size
        try:
            yield
        finally:
            with self._changed:
                self._stuck = False
                self._free += 1
                self._bytes -= size
                self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        return self._free > 0 and (not self._bytes or self._bytes + size <= self._max_bytes)
