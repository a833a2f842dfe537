"""Simulated experiments: units that come over the days, buy again and again, and differ much from each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alsobought.experimentation.confidence import Interval, Look, confidence_sequence
from alsobought.experimentation.estimates import Adjustment, adjustment, arm_of, lift
from alsobought.experimentation.sums import Sums

DAYS, UNITS = 14, 300
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Runs:
    """Of each run: whose `variant` it is (0 or 1), the day on which each unit came, and its spending up to the end of each day."""

    variant: NDArray[np.int64]
    entered: NDArray[np.int64]
    spent: Floats
    before: Floats

    def looks(self, run: int) -> Iterator[tuple[Sums, Sums]]:
        for day in range(DAYS):
            there = self.entered[run] <= day
            yield tuple(  # type: ignore[misc]
                _sums(self.spent[run, mask, day], self.before[run, mask])
                for mask in (there & (self.variant[run] == 0), there & (self.variant[run] == 1))
            )


def simulated(runs: int, effect: float = 0.0, *, everybody_at_once: bool = False, seed: int = 7) -> Runs:
    """`effect` is the relative lift of variant 1. A unit's rate of buying has a coefficient of variation of 1."""
    random = np.random.default_rng(seed)
    rate = random.standard_gamma(1.0, (runs, UNITS)) * 0.15
    variant = random.integers(0, 2, (runs, UNITS))
    entered = np.zeros((runs, UNITS), int) if everybody_at_once else random.integers(0, DAYS, (runs, UNITS))
    days = np.arange(DAYS)
    orders = random.poisson((rate * (1 + effect * variant))[:, :, None], (runs, UNITS, DAYS))
    spent = random.standard_gamma(orders) * 20.0 * (days >= entered[:, :, None])
    before = random.standard_gamma(random.poisson(rate * 28)) * 20.0
    return Runs(variant, entered, spent.cumsum(axis=2), before)


def intervals(runs: Runs, run: int, alpha: float = 0.05, *, adjusted: bool = True) -> list[Interval]:
    """The confidence sequence of one run, as a report makes it."""
    looks = []
    for day, (control, variant) in enumerate(runs.looks(run), 1):
        if min(control.active, variant.active) < 5:
            continue
        chosen = adjustment([control, variant]) if adjusted else Adjustment()
        if found := lift(arm_of(variant, chosen), arm_of(control, chosen)):
            looks.append(Look(day, found.log_ratio, found.error, found.variance))
    return list(confidence_sequence(looks, alpha, DAYS))


def _sums(y: Floats, x: Floats) -> Sums:
    units = float(len(y))
    total = float(y.sum())
    return Sums(
        units,
        float((y > 0).sum()),
        total,
        float(y @ y),
        units,
        units,
        total,
        float(x.sum()),
        float(x @ x),
        float(x @ y),
    )
