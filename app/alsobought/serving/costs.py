"""What pipes cost: the quickest of the last queries of each. A busy machine slows queries down, but not all of them."""

from __future__ import annotations

from collections import defaultdict, deque
from functools import partial

HEAVY_SECONDS = 0.15
SAMPLES, MIN_SAMPLES = 8, 3


class PipeCosts:
    """Thread-safe.

    >>> costs = PipeCosts()
    >>> for seconds in (0.9, 0.2, 0.5):
    ...     costs.add("rank", seconds)
    ...     costs.add("popular", seconds / 10)
    >>> costs.is_heavy("rank"), costs.is_heavy("popular"), costs.is_heavy("new")
    (True, False, None)
    """

    def __init__(self) -> None:
        self._seconds: defaultdict[str, deque[float]] = defaultdict(partial(deque, maxlen=SAMPLES))

    def add(self, pipe: str, seconds: float) -> None:
        """The query of a pipe took so long, without the time it waited for others."""
        self._seconds[pipe].append(seconds)

    def is_heavy(self, pipe: str) -> bool | None:
        """True if a pipe answers slowly; None while too little is known."""
        seconds = tuple(self._seconds.get(pipe, ()))
        if seconds and min(seconds) <= HEAVY_SECONDS:
            return False
        return True if len(seconds) >= MIN_SAMPLES else None
