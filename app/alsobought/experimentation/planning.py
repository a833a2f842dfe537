"""What an experiment could find by now, and how many days it needs for the effect that is wanted."""

from __future__ import annotations

import math
from statistics import NormalDist

from alsobought.experimentation.confidence import GROWTH, Interval, multiplier

POWER = 0.8
MAX_DAYS = 365


def detectable(at: Interval, alpha: float, days: float | None = None) -> float:
    """The lift, on the scale of logarithms, that is found with a probability of POWER after so many days, by default now.

    The error falls with the root of the days; information grows as `confidence.GROWTH` has it.
    """
    grown = (days or at.days) / at.days
    reach = multiplier(at.information * grown**GROWTH, alpha) + NormalDist().inv_cdf(POWER)
    return reach * at.error / math.sqrt(grown)


def days_needed(at: Interval, alpha: float, wanted: float) -> int | None:
    """The days still to come until a lift of `wanted` (0.05 is 5 %) would be found; None if that is more than a year."""
    goal = math.log1p(wanted)
    start = math.ceil(at.days)
    return next((day - start for day in range(start, start + MAX_DAYS + 1) if detectable(at, alpha, day) <= goal), None)
