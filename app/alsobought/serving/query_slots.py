"""Query slots: as many queries of requests run together as the engine has cores for.

More of them do not finish earlier: each takes longer. Those that wait are not composed yet, so that further requests may still
join them (`serving.coalescing`). Pipes have turns, so that a slow one does not hold up the others. Queries behind stale answers
leave one slot to callers who wait, and let MAX_PASSED of them pass: more would keep a caller waiting who needs that answer by now.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from alsobought import tracing
from alsobought.serving.fair_queue import FairQueue

MAX_PASSED = 3


class QuerySlots:
    """Thread-safe. Slots are given to callers first, to pipes in turn, and within a pipe in the order of asking."""

    def __init__(self, count: int) -> None:
        self._count, self._passed = count, 0
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
        if not given.is_set():
            with tracing.span("wait for a slot"):
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
        """Give the free slots. The caller holds the lock."""
        while self._free[False] > 0:
            background = self._goes_to_background()
            given = self._waiting[background].pop()
            if given is None:
                break
            self._free[False] -= 1
            self._free[True] -= background
            self._passed = self._passed + 1 if self._waiting[True] and not background else 0
            given.set()

    def _goes_to_background(self) -> bool:
        if not self._waiting[True] or self._free[True] <= 0:
            return False
        return not self._waiting[False] or self._passed >= MAX_PASSED
