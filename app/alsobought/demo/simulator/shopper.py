"""A simulated shopper: a taste that drifts, how it turns into clicks and purchases, and when the shopper comes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from alsobought.demo.simulator.draws import exponential, normal, poisson, uniform
from alsobought.demo.simulator.products import Product, departments

Kind = Literal["customer", "guest", "joins"]
GUESTS, JOINING = 0.10, 0.015  # shares of the shoppers: without an account, and those who log in later
GUEST_VISITS = 2  # of those who log in later, after the warm-up
DRIFTING = 0.3  # the share whose favourite department changes in the course of two weeks
VISITS_A_DAY = 0.32
BETWEEN_VISITS = 1 / 24  # days: who would come back sooner does not, so that visits do not overlap
WARM_UP_DAYS = 10  # before the first list: the shop knows its customers a little


@dataclass(frozen=True)
class Visit:
    """`at` in days since the beginning, negative in the warm-up. As a guest the shopper is known by a session only."""

    number: int
    at: float
    as_guest: bool


@dataclass(frozen=True)
class Shopper:
    """`second` is the department that the favourite becomes, if the taste drifts."""

    seed: int
    name: str
    favourite: str
    second: str
    drifts: bool
    activity: float
    kind: Kind
    days: int = field(default=14, compare=False)

    @property
    def guest_id(self) -> str:
        return f"guest-{self.name}"

    def visits(self) -> list[Visit]:
        """Drawn up front: no list brings a shopper back."""
        key, mean = (self.seed, self.name), VISITS_A_DAY * self.activity
        drawn = sorted(
            day + 0.97 * uniform(*key, day, number, "hour")
            for day in range(-WARM_UP_DAYS, self.days)
            for number in range(poisson(mean, *key, day, "visits"))
        )
        times = [at for before, at in pairwise([-math.inf, *drawn]) if at - before >= BETWEEN_VISITS]
        guest_visits = {"customer": 0, "guest": len(times), "joins": sum(at < 0 for at in times) + GUEST_VISITS}
        return [Visit(number, at, number < guest_visits[self.kind]) for number, at in enumerate(times)]

    def wish(self, product: Product, day: float) -> float:
        """The probability of a click on a product that is looked at."""
        own = _fancy(self.seed, self.name, product.item_id)
        return _sigmoid(-3.4 + 3.2 * self._taste(product.department, day) + product.quality + own)

    def purchase_probability(self, product: Product, day: float) -> float:
        """That of a purchase by a shopper who looks at the page of a product: dear ones are bought less."""
        return 0.55 * math.exp(-product.price / 60) * (0.35 + 0.65 * self._taste(product.department, day))

    def searched(self, visit: Visit, sold: list[Product]) -> list[Product]:
        """What the shopper finds without a list in this visit, by wish."""
        day, key = visit.at, (self.seed, self.name, visit.number)
        count = poisson(1.1, *key, "searches")
        order = sorted(sold, key=lambda one: exponential(*key, one.item_id, "search") / self.wish(one, day))
        return order[:count]

    def _taste(self, department: str, day: float) -> float:
        """From 0 to 1."""
        moved = min(1.0, max(0.0, day / 14)) if self.drifts else 0.0
        return (1.0 - moved) * (department == self.favourite) + max(moved, 0.35) * (department == self.second)


def shoppers(seed: int, count: int, days: int) -> list[Shopper]:
    return [_shopper(seed, f"shopper-{number:04d}", days) for number in range(1, count + 1)]


def _shopper(seed: int, name: str, days: int) -> Shopper:
    names = departments()
    first = int(uniform(seed, name, "favourite") * len(names))
    second = (first + 1 + int(uniform(seed, name, "second") * (len(names) - 1))) % len(names)
    luck = uniform(seed, name, "kind")
    kind: Kind = "guest" if luck < GUESTS else "joins" if luck < GUESTS + JOINING else "customer"
    drifts, activity = uniform(seed, name, "drifts") < DRIFTING, 0.4 + 1.2 * uniform(seed, name, "activity")
    return Shopper(seed, name, names[first], names[second], drifts, activity, kind, days)


@lru_cache(1_000_000)
def _fancy(seed: int, name: str, item_id: str) -> float:
    """A wish for one product, beyond the taste for its department."""
    return normal(seed, name, item_id, "fancy")


def _sigmoid(value: float) -> float:
    """
    >>> round(_sigmoid(0.0), 2)
    0.5
    """
    return 1 / (1 + math.exp(-value))
