"""What an experiment could find by now, and how many days it needs for the effect that is wanted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from alsobought.experimentation.confidence import GROWTH, Interval, multiplier

POWER = 0.8
MAX_DAYS = 365
SLOWEST, FASTEST = 0.5, 1.0  # powers of the days with which an error falls


def detectable(at: Interval, alpha: float, days: float | None = None, decay: float = SLOWEST) -> float:
    """The estimate, on the scale of the intervals, that is found with a probability of POWER after so many days, by default now.

    The error falls with the days to the power `decay`; information grows as `confidence.GROWTH` has it.
    """
    grown = (days or at.days) / at.days
    reach = multiplier(at.information * grown**GROWTH, alpha) + NormalDist().inv_cdf(POWER)
    return reach * at.error / math.pow(grown, decay)


def error_decay(sequence: Sequence[Interval]) -> float:
    """How fast the error has fallen in the later half of the days: the root of them, up to the days themselves.

    The latter while as many new units come every day and all of them buy on.
    """
    now = sequence[-1]
    earlier = next(
        one for one in sequence if one.days >= min(now.days, sequence[0].days + (now.days - sequence[0].days) / 2)
    )
    if now.days <= earlier.days or now.error <= 0:
        return SLOWEST
    return min(FASTEST, max(SLOWEST, math.log(earlier.error / now.error) / math.log(now.days / earlier.days)))


def days_needed(sequence: Sequence[Interval], alpha: float, goal: float) -> int | None:
    """The days still to come until a `goal`, on the scale of the intervals, would be found; None if that is more than a year."""
    now, decay = sequence[-1], error_decay(sequence)
    start = math.ceil(now.days)
    days = range(start, start + MAX_DAYS + 1)
    return next((day - start for day in days if detectable(now, alpha, day, decay) <= goal), None)
