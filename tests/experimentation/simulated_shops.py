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
        float(x.sum()),
    )


def order_values(runs: int, seed: int = 17) -> Iterator[tuple[Sums, Sums]]:
    """Two equal variants of each run. A unit has its own value of an order, before the experiment as in it."""
    random = np.random.default_rng(seed)
    value = random.lognormal(3.0, 0.5, (runs, UNITS))
    rate = random.standard_gamma(1.0, (runs, UNITS)) * 2.0
    orders, orders_before = random.poisson(rate).astype(float), random.poisson(rate * 2).astype(float)
    spent, before = (random.standard_gamma(count * 4) * value / 4 for count in (orders, orders_before))
    variant = random.integers(0, 2, (runs, UNITS))
    for run in range(runs):
        ahead = before[run] - before[run].sum() / orders_before[run].sum() * orders_before[run]
        yield tuple(  # type: ignore[misc]
            _ratio_sums(spent[run, mask], orders[run, mask], ahead[mask])
            for mask in (variant[run] == 0, variant[run] == 1)
        )


def _ratio_sums(y: Floats, z: Floats, x: Floats) -> Sums:
    squares = (float(one @ other) for one, other in ((z, z), (y, z)))
    covariate = (float(x.sum()), *(float(x @ one) for one in (x, y, z)))
    return Sums(len(y), float((y > 0).sum()), float(y.sum()), float(y @ y), float(z.sum()), *squares, *covariate)
