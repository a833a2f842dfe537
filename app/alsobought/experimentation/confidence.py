"""Confidence sequences: intervals that hold on all days together, so that an experiment may be looked at whenever one likes.

An ordinary 95 % interval is for one day, chosen in advance. Whoever looks every day, and stops when it excludes 0, is wrong in far
more than one experiment of 20. These are wrong on any day at all in at most one of 20. They are the asymptotic confidence
sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences"
(Annals of Statistics 52, 2024): Robbins' normal mixture (1970) for estimated variances.

Its clock is the variance of the sum, not the number of units. A unit's outcome grows while the experiment runs, and who bought much
buys on: looks are then more alike than those of a sum of independent steps with the same variances, so by Slepian's inequality the
sequence is wrong less often than the mixture allows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

GROWTH = (
    1.5  # variance grows with the days to this power: between 1 (new units alone) and 2 (the same units, which buy on)
)


@dataclass(frozen=True)
class Look:
    """An estimate after so many `days`, as it would be reported; `variance` is that of the sum behind it."""

    days: float
    estimate: float
    error: float
    variance: float


@dataclass(frozen=True)
class Interval:
    """`information`: how far the clock has come, on the scale of the mixture."""

    days: float
    estimate: float
    low: float
    high: float
    error: float
    information: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def multiplier(information: float, alpha: float) -> float:
    """Half the width of the interval in standard errors.

    sqrt((1 + 1/r) ln((1 + r) / alpha²)), where r is the variance of the sum times rho².

    >>> round(multiplier(best_information(0.05), 0.05), 2)  # where an interval for one day has 1.96
    3.04
    """
    return math.sqrt((1 + 1 / information) * math.log((1 + information) / alpha**2))


def best_information(alpha: float) -> float:
    """Where the interval is narrowest for the variance that there is: -2 ln alpha + ln(-2 ln alpha) + 1 (ibid., appendix)."""
    twice = -2 * math.log(alpha)
    return twice + math.log(twice) + 1


def confidence_sequence(looks: Iterable[Look], alpha: float, horizon: float) -> Iterator[Interval]:
    """The interval of each look, in their order. The sequence is tuned to be narrow after `horizon` days.

    The scale is that of the first look, since it must not depend on what comes later; it matters to the width alone.
    """
    first: Look | None = None
    variance = 0.0
    for look in looks:
        first = first or look
        variance = max(variance, look.variance)
        grown = variance / first.variance if first.variance > 0 else 1.0
        information = best_information(alpha) * grown * (first.days / horizon) ** GROWTH
        half = multiplier(information, alpha) * look.error
        yield Interval(look.days, look.estimate, look.estimate - half, look.estimate + half, look.error, information)
