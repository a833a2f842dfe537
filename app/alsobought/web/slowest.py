"""The slowest answer of each pipe in the last minutes: what a histogram with few buckets cannot show."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

MINUTES = 5


class SlowestAnswers(Collector):
    """Thread-safe. Answers are kept by the minute, so that an old one is forgotten within a minute of its time.

    >>> slowest = SlowestAnswers()
    >>> for minute, seconds in [(1, 0.5), (1, 0.2), (3, 0.1)]:
    ...     slowest.add("for_you", seconds, minute)
    >>> slowest.of_last_minutes(5), slowest.of_last_minutes(6), slowest.of_last_minutes(9)
    ({'for_you': 0.5}, {'for_you': 0.1}, {})
    """

    def __init__(self) -> None:
        self._of_minute: dict[int, dict[str, float]] = {}
        self._lock = threading.Lock()

    def add(self, pipe: str, seconds: float, minute: int) -> None:
        with self._lock:
            slowest = self._of_minute.get(minute)
            if slowest is None:
                slowest = self._of_minute[minute] = {}
                self._of_minute = {at: past for at, past in self._of_minute.items() if at > minute - MINUTES}
            if seconds > slowest.get(pipe, 0.0):
                slowest[pipe] = seconds

    def of_last_minutes(self, minute: int) -> Mapping[str, float]:
        with self._lock:
            slowest_of: dict[str, float] = {}
            for at, slowest in self._of_minute.items():
                if minute - MINUTES < at <= minute:
                    for pipe, seconds in slowest.items():
                        slowest_of[pipe] = max(seconds, slowest_of.get(pipe, 0.0))
            return slowest_of

    def collect(self) -> Iterator[Metric]:
        text = f"The slowest answer of the last {MINUTES} minutes."
        gauge = GaugeMetricFamily("alsobought_pipe_slowest_seconds", text, labels=["pipe"])
        for pipe, seconds in self.of_last_minutes(this_minute()).items():
            gauge.add_metric([pipe], seconds)
        yield gauge


def this_minute() -> int:
    return int(time.monotonic() // 60)
