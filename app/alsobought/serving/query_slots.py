"""Query slots: as many queries of requests run together as the engine has cores for.

More of them do not finish earlier: each takes longer. Those that wait are not composed yet, so that further requests may still
join them (`serving.coalescing`). Pipes have turns, so that a slow one does not hold up the others. Queries behind stale answers
go last, and leave one slot to callers who wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from alsobought.serving.fair_queue import FairQueue


class QuerySlots:
    """Thread-safe. Slots are given to callers first, to pipes in turn, and within a pipe in the order of asking."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = {False: count, True: max(1, count - 1)}  # of all, and of those that the background may have
        self._waiting: dict[bool, FairQueue[threading.Event]] = {False: FairQueue(), True: FairQueue()}
        self._lock = threading.Lock()

    @property
    def load(self) -> tuple[int, int]:
        """How many queries run, and how many wait."""
        return self._count - self._free[False], sum(map(len, self._waiting.values()))

    @contextmanager
    def taken(self, pipe: str = "", *, background: bool = False) -> Iterator[None]:
        """Wait for a slot for a query of this pipe's list, and hold it."""
        given = threading.Event()
        with self._lock:
            self._waiting[background].append(pipe, given)
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
            while self._free[False] > 0 and self._free[background] > 0 and (given := waiting.pop()):
                self._free[False] -= 1
                self._free[True] -= background
                given.set()
