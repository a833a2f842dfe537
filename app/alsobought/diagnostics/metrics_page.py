"""A page of `/metrics`, read: sums of a metric by its labels, what was added between two pages, and quantiles of histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[Mapping[str, str], float]
PREFIX = "alsobought_"


@dataclass(frozen=True)
class MetricsPage:
    """`samples` by the name of the series without its prefix; `at` in seconds."""

    at: float
    samples: Mapping[str, Sequence[Sample]]

    def sum(self, name: str, **labels: str) -> float | None:
        """The sum of the series with these labels; None if there is none."""
        values = [value for given, value in self.samples.get(name, ()) if labels.items() <= given.items()]
        return sum(values, 0.0) if values else None

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """{value of the label: sum}"""
        sums: dict[str, float] = {}
        for given, value in self.samples.get(name, ()):
            if label in given and labels.items() <= given.items():
                sums[given[label]] = sums.get(given[label], 0.0) + value
        return sums

    def label(self, name: str, label: str) -> str:
        """The label of the only series of this name, "" if there is none."""
        return next((labels.get(label, "") for labels, _ in self.samples.get(name, ())), "")


def read_page(text: str, at: float) -> MetricsPage:
    """Raises ValueError for a text that is not in the Prometheus format.

    >>> page = read_page('alsobought_rows_total{kind="event",outcome="stored"} 3\\n', at=0)
    >>> page.sum("rows_total", kind="event"), page.by("rows_total", "outcome"), page.sum("lag")
    (3.0, {'stored': 3.0}, None)
    """
    samples: dict[str, list[Any]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name.removeprefix(PREFIX), []).append((sample.labels, sample.value))
    return MetricsPage(at, samples)


def difference(old: MetricsPage, new: MetricsPage, name: str, **labels: str) -> float:
    """What a counter gained between two pages: all it has, if the service started anew."""
    before, after = old.sum(name, **labels) or 0.0, new.sum(name, **labels) or 0.0
    return after - before if after >= before else after


def quantile(buckets: Mapping[str, float], share: float) -> float | None:
    """The value below which this share of a histogram lies, interpolated within its bucket; None if it is empty.

    Of the last bucket, which has no end, it is the beginning.

    >>> quantile({"0.1": 50, "0.2": 100, "+Inf": 100}, 0.75)
    0.15000000000000002
    >>> quantile({"0.1": 0, "+Inf": 0}, 0.5)
    """
    ends = sorted((float(end), count) for end, count in buckets.items())
    if not ends or ends[-1][1] <= 0:
        return None
    wanted = share * ends[-1][1]
    start, below = 0.0, 0.0
    for end, count in ends:
        if count >= wanted and count > below:
            return start if end == float("inf") else start + (end - start) * (wanted - below) / (count - below)
        start, below = end, count
    return start
