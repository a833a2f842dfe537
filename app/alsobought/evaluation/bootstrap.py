"""How sure a mean is: people are drawn again with replacement, each with all their questions (Efron 1979, by percentiles).

Whoever asks often would make questions look more independent than they are; so people are drawn, not questions. Two
systems are compared on the same draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from alsobought.evaluation.measures import Floats

RESAMPLES = 1_000
AT_ONCE = 2_000_000  # numbers in a piece of the draws


@dataclass(frozen=True)
class Interval:
    """A mean with the middle 95 % of its resamples."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """The same of a difference, and the share of resamples in which it is above 0."""

    mean: float
    low: float
    high: float
    above: float


class Bootstrap:
    """`owners` says whose each question is. `draws` gives the same draws every time."""

    def __init__(self, owners: Sequence[str], seed: int = 1, resamples: int = RESAMPLES) -> None:
        people, self._owner = np.unique(np.asarray(owners, dtype=object).astype(str), return_inverse=True)
        self._people, self._seed, self._resamples = len(people), seed, resamples

    def means(self, values: Floats) -> Floats:
        """The mean of each column, in every resample: resamples x columns."""
        sums = np.zeros((self._people, values.shape[1]))
        np.add.at(sums, self._owner, values)
        questions = np.bincount(self._owner, minlength=self._people)
        return np.concatenate([drawn @ sums / (drawn @ questions)[:, None] for drawn in self._draws()])

    def _draws(self) -> Iterator[Floats]:
        """How often each person is drawn, in pieces of resamples x people."""
        random, piece = np.random.default_rng(self._seed), max(1, AT_ONCE // self._people)
        for at in range(0, self._resamples, piece):
            size = min(piece, self._resamples - at)
            chances = np.full(self._people, 1 / self._people)
            yield random.multinomial(self._people, chances, size=size).astype(np.float64)


def interval(values: Floats, means: Floats) -> Interval:
    """Of one column: its questions, and its resamples."""
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def difference(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> Difference:
    """Of the first from the second, each as questions and resamples of the same draws."""
    found = interval(one[0] - other[0], one[1] - other[1])
    return Difference(found.mean, found.low, found.high, float((one[1] > other[1]).mean()))
