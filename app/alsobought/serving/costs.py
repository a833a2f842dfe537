"""What pipes cost: the quickest of the last queries of each, and the least that one of them read.

A busy machine slows all queries down. So a short time alone would call every pipe heavy as soon as there are too many requests,
and refuse them: a heavy query reads much as well, or takes very long.
"""

from __future__ import annotations

from collections import defaultdict, deque
from functools import partial

from alsobought.storage.results import Statistics

HEAVY_SECONDS, HEAVY_BYTES = 0.1, 5_000_000
VERY_LONG_SECONDS = 1.0  # whatever was read
SAMPLES, MIN_SAMPLES = 8, 3


class PipeCosts:
    """Thread-safe.

    >>> costs = PipeCosts()
    >>> for seconds in (0.9, 0.2, 0.5):
    ...     costs.add("rank", Statistics(seconds, rows_read=1_000_000, bytes_read=30_000_000))
    ...     costs.add("for_you", Statistics(seconds, rows_read=2, bytes_read=10_000))
    >>> costs.is_heavy("rank"), costs.is_heavy("for_you"), costs.is_heavy("new")
    (True, False, None)
    """

    def __init__(self) -> None:
        self._samples: defaultdict[str, deque[Statistics]] = defaultdict(partial(deque, maxlen=SAMPLES))

    def add(self, pipe: str, statistics: Statistics) -> None:
        """What one query of a pipe took and read."""
        self._samples[pipe].append(statistics)

    def is_heavy(self, pipe: str) -> bool | None:
        """True if a pipe answers slowly; None while too little is known."""
        samples = tuple(self._samples.get(pipe, ()))
        if samples and not all(map(_took_much, samples)):
            return False
        return True if len(samples) >= MIN_SAMPLES else None


def _took_much(one: Statistics) -> bool:
    return one.elapsed > VERY_LONG_SECONDS or (one.elapsed > HEAVY_SECONDS and one.bytes_read > HEAVY_BYTES)
