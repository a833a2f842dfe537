"""Who may wait for the writer: all threads but two, so that answers go on while it is busy.

One post more waits a moment for a place, since places come free all the time. Once that was in vain the writer is stuck,
and until a place comes free nobody waits for one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from alsobought.errors import Busy

FOR_READERS = 2
PATIENCE = 1.0  # seconds


class Places:
    """`with places.one(): …`; safe for threads."""

    def __init__(self, threads: int) -> None:
        self._free = threading.BoundedSemaphore(max(1, threads - FOR_READERS))
        self._stuck = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """Raises Busy when there is none."""
        if not self._free.acquire(timeout=0 if self._stuck else PATIENCE):
            self._stuck = True
            raise Busy("the writer is behind", "Send the same again in a second: nothing of it is stored")
        try:
            yield
        finally:
            self._stuck = False
            self._free.release()
