"""Query slots: as many queries of requests run together as the engine has cores for.

More of them do not finish earlier: each takes longer. Those that wait are not composed yet, so that further requests may still
join them (`serving.coalescing`). Queries behind stale answers go last, and leave one slot to callers who wait.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class QuerySlots:
    """Thread-safe. Slots are given in the order of asking, to callers first."""

    def __init__(self, count: int) -> None:
        self._free = {False: count, True: max(1, count - 1)}  # of all, and of those that the background may have
        self._waiting: dict[bool, deque[threading.Event]] = {False: deque(), True: deque()}
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, *, background: bool = False) -> Iterator[None]:
        """Wait for a slot, and hold it."""
        given = threading.Event()
        with self._lock:
            self._waiting[background].append(given)
            self._give()
        given.wait()
        try:
            yield
        finally:
            with self._lock:
                self._free[False] += 1
                self._free[True] += background
                self._give()

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Hold one slot at once, even if none is free: then those to come are given later. For who must not wait."""
        with self._lock:
            self._free[False] -= 1
        try:
            yield
        finally:
            with self._lock:
                self._free[False] += 1
                self._give()

    def _give(self) -> None:
        for background, waiting in self._waiting.items():
            while waiting and self._free[False] > 0 and self._free[background] > 0:
                self._free[False] -= 1
                self._free[True] -= background
                waiting.popleft().set()
