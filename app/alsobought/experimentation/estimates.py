"""The lift of a variant over the control, from sums: delta method for ratios, and CUPED."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from alsobought.experimentation.sums import Sums


@dataclass(frozen=True)
class Arm:
    """`spread` is the variance of one unit's residual; `level` is the adjusted mean, or the ratio."""

    units: float
    level: float
    spread: float
    denominator: float

    @property
    def error(self) -> float:
        """Of the level: by the delta method, which for a mean is the textbook's."""
        return math.sqrt(self.spread / self.units) / self.denominator


@dataclass(frozen=True)
class Lift:
    """The logarithm of the ratio of two levels, its standard error, and the variance of the difference of the sums."""

    log_ratio: float
    error: float
    variance: float


@dataclass(frozen=True)
class Adjustment:
    """CUPED: `theta` times what a unit's covariate exceeds `mean` is taken off; `reduction` of the variance goes with it.

    Deng, Xu, Kohavi and Walker, "Improving the sensitivity of online controlled experiments by utilizing pre-experiment data"
    (WSDM 2013). The covariate is from before the exposure, so no variant can have changed it, and the estimate stays unbiased.
    Of a ratio it is the linearised metric that is adjusted, y - R z, of which the ratio of sums is a mean (Budylin, Drutsa, Katsev
    and Tsoy, "Consistent transformation of ratio metrics for efficient online controlled experiments", WSDM 2018).
    """

    theta: float = 0.0
    mean: float = 0.0
    reduction: float = 0.0


def adjustment(arms: Collection[Sums]) -> Adjustment:
    """The one theta that minimises the variance within all variants together."""
    xx = sum(_within(arm.xx, arm.x, arm.x, arm.units) for arm in arms)
    if xx <= 0:
        return Adjustment()
    xr = sum(map(_common, arms))
    rr = sum(map(_residual, arms))
    units = sum(arm.units for arm in arms)
    return Adjustment(xr / xx, sum(arm.x for arm in arms) / units, xr * xr / xx / rr if rr > 0 else 0.0)


def arm_of(sums: Sums, adjusted: Adjustment) -> Arm:
    """A variant with at least two units and a denominator."""
    units, theta, denominator = sums.units, adjusted.theta, sums.z / sums.units
    squares = _residual(sums) + theta * theta * _within(sums.xx, sums.x, sums.x, units) - 2 * theta * _common(sums)
    level = sums.ratio - theta * (sums.x / units - adjusted.mean) / denominator
    return Arm(units, level, max(0.0, squares) / (units - 1), denominator)


def lift(variant: Arm, control: Arm) -> Lift | None:
    """None while one of the levels is not above 0, or nothing varies.

    In logarithms, so that an interval never promises less than -100 %.
    """
    if min(variant.level, control.level) <= 0:
        return None
    error = math.hypot(variant.error / variant.level, control.error / control.level)
    pairs = variant.units * control.units / (variant.units + control.units)
    variance = pairs**2 * (variant.spread / variant.units + control.spread / control.units)
    return Lift(math.log(variant.level / control.level), error, variance) if error > 0 else None


def _residual(sums: Sums) -> float:
    """The sum of squares of y - R z (Deng, Knoblich and Lu, "Applying the delta method in metric analytics", KDD 2018)."""
    units, ratio = sums.units, sums.ratio
    return (
        _within(sums.yy, sums.y, sums.y, units)
        + ratio * ratio * _within(sums.zz, sums.z, sums.z, units)
        - 2 * ratio * _within(sums.yz, sums.y, sums.z, units)
    )


def _common(sums: Sums) -> float:
    """The sum of products of the covariate and y - R z."""
    products = _within(sums.xy, sums.x, sums.y, sums.units)
    return products - sums.ratio * _within(sums.xz, sums.x, sums.z, sums.units)


def _within(products: float, one: float, other: float, units: float) -> float:
    """The sum of products of deviations from the means."""
    return products - one * other / units if units else 0.0
