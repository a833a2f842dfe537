"""Sums over the units of a variant: all that the statistics need to know."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Sums:
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

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, name) + getattr(other, name) for name in NAMES))

    @property
    def ratio(self) -> float:
        """The mean of the metric, or the ratio of its two sums; 0 without any."""
        return self.y / self.z if self.z else 0.0


NAMES = tuple(field.name for field in fields(Sums))
