"""Confidence intervals by bootstrap: users are resampled with replacement, each with all queries (Efron 1979, percentiles).

Users are resampled, not queries, because the queries of one user are not independent. Two systems are compared on the
same resamples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from alsobought.evaluation.measures import Floats

RESAMPLES = 1_000
BLOCK_SIZE = 2_000_000  # numbers in a block of resamples


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """A mean difference with its 95 % interval; `above` is the share of resamples in which it is above 0."""

    mean: float
    low: float
    high: float
    above: float


class Bootstrap:
    """`owners` has the user of each query. The resamples depend on the seed only."""

    def __init__(self, owners: Sequence[str], seed: int = 1, resamples: int = RESAMPLES) -> None:
        users, self._owner = np.unique(np.asarray(owners, dtype=object).astype(str), return_inverse=True)
        self._users, self._seed, self._resamples = len(users), seed, resamples

    def means(self, values: Floats) -> Floats:
        """The mean of each column in every resample: resamples x columns."""
        sums = np.zeros((self._users, values.shape[1]))
        np.add.at(sums, self._owner, values)
        queries = np.bincount(self._owner, minlength=self._users)
        return np.concatenate([counts @ sums / (counts @ queries)[:, None] for counts in self._resample_counts()])

    def _resample_counts(self) -> Iterator[Floats]:
        """How often each user is drawn, in blocks of resamples x users."""
        random, block = np.random.default_rng(self._seed), max(1, BLOCK_SIZE // self._users)
        for start in range(0, self._resamples, block):
            size = min(block, self._resamples - start)
            probabilities = np.full(self._users, 1 / self._users)
            yield random.multinomial(self._users, probabilities, size=size).astype(np.float64)


def interval(values: Floats, means: Floats) -> Interval:
    """Of one column: its values per query, and its means per resample."""
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def difference(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Difference:
    """The first minus the second, each as values per query and means per resample, of the same resamples."""
    distance = interval(one[0] - other[0], one[1] - other[1])
    return Difference(distance.mean, distance.low, distance.high, float((one[1] > other[1]).mean()))
