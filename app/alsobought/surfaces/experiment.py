"""An experiment, as `sql/experiments.yaml` describes it, and who is in which variant.

A unit, a user or a session, is in the bucket that a hash of the salt and its id gives. Nothing is stored: the same unit gets the
same variant from every process, and SQL can draw it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from hashlib import blake2b
from typing import Any, Literal

BUCKETS = 10_000
INTERLEAVED = "interleaved"  # what answers and tables have as the variant of a list that two variants filled

Unit = Literal["user", "session"]


@dataclass(frozen=True)
class Variant:
    """`buckets` of the 10,000 are its share. Without a `pipe` it has that of the surface; `parameters` are added to its own.

    A `holdout` gets an empty list: what the shop would be without recommendations on this surface.
    """

    name: str
    buckets: int
    pipe: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    holdout: bool = False


@dataclass(frozen=True)
class Guardrail:
    """A metric that a variant may worsen by this much at most, relative to the control: 0.05 is 5 %. Beyond that it is stopped."""

    metric: str
    at_most_worse: float = 0.05


@dataclass(frozen=True)
class Experiment:
    """The first variant is the control, with which the others are compared. `since` and `until` are days in UTC, both included.

    `interleave`: a unit sees one list that the two variants fill in turns (team draft), in place of one of the two; the sum of the
    shares is that of the units that see it. `minimum_effect` is the smallest lift that matters, or with `interleave` how far a
    preference must be from one half: an experiment runs until it would find that one.
    """

    name: str
    surface: str
    variants: tuple[Variant, ...]
    unit: Unit = "user"
    metric: str = "revenue_per_unit"
    guardrails: tuple[Guardrail, ...] = ()
    since: date = date.min
    until: date = date.max
    salt: str = ""
    interleave: bool = False
    minimum_effect: float = 0.05

    def is_running(self, at: datetime) -> bool:
        return self.since <= at.date() <= self.until

    @property
    def seed(self) -> str:
        """What its draws are salted with."""
        return self.salt or self.name

    def variant_of(self, unit: str) -> Variant | None:
        """None for a unit beyond the shares, which may sum to less than 1: it is not part of the experiment."""
        bucket = bucket_of(self.seed, unit)
        for variant in self.variants:
            bucket -= variant.buckets
            if bucket < 0:
                return variant
        return None


def bucket_of(salt: str, unit: str) -> int:
    """The bucket of a unit, from 0 to 9,999: even over units, and independent between salts.

    >>> bucket_of("ranked", "ada") == bucket_of("ranked", "ada")
    True
    """
    text = f"{salt}\0{unit}".encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest()) % BUCKETS
