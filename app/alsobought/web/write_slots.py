"""Write slots: all threads but two may wait for the writer, so that reads go on.

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
    """`with slots.acquire(): …`. Thread-safe."""

    def __init__(self, threads: int) -> None:
        self._free = threading.BoundedSemaphore(max(1, threads - THREADS_FOR_READS))
        self._stuck = False

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Raises Busy if no slot becomes free in time."""
        if not self._free.acquire(timeout=0 if self._stuck else WAIT_SECONDS):
            self._stuck = True
            raise Busy("the writer is busy", "Nothing was stored: send the same request again in a second")
        try:
            yield
        finally:
            self._stuck = False
            self._free.release()
