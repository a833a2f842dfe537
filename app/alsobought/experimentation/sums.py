"""Sums over the units of a variant: all that the statistics need to know."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self


class Additive:
    """A dataclass of numbers that are added field by field.

    >>> Sums(units=1, y=2) + Sums(units=3, y=4) == Sums(units=4, y=6)
    True
    """

    def __add__(self, other: Self) -> Self:
        return type(self)(
            *(mine + theirs for mine, theirs in zip(vars(self).values(), vars(other).values(), strict=True))
        )


@dataclass(frozen=True)
class Sums(Additive):
    """Of `units`: y is the metric after exposure, x the covariate of the days before, z the denominator of a ratio (1 for a mean).

    `yy` is the sum of the squares of y, `xy` that of the products, and so on; `active` units have a y above 0.
    """

    units: float = 0.0
    active: float = 0.0
    y: float = 0.0
    yy: float = 0.0
    z: float = 0.0
    zz: float = 0.0
    yz: float = 0.0
    x: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    xz: float = 0.0

    @property
    def ratio(self) -> float:
        """The mean of the metric, or the ratio of its two sums; 0 without any."""
        return self.y / self.z if self.z else 0.0


NAMES = tuple(field.name for field in fields(Sums))
