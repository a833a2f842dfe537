"""What is true of a simulation: what was sent, which list led to which purchase, and what would have been bought without it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple


class Link(NamedTuple):
    """An item of a list, as its page knows it."""

    recommendation_id: str
    surface: str
    experiment: str
    variant: str
    item_id: str
    position: int


@dataclass
class Purchase:
    """A line of an order.

    `came_by` is the list by which the shopper last came to the item within a week, `seen_in` the list in which it was last seen
    within a day, if the shopper came by none. `caused`: without any list it would not have been bought.
    """

    user: str
    item_id: str
    order_id: str
    amount: float
    came_by: Link | None
    seen_in: Link | None
    caused: bool
    refunded: bool = False


@dataclass
class Outcome:
    """Of a shopper: what was spent, and what would have been without the home page's lists, of which these variants were shown."""

    variants: set[str] = field(default_factory=set)
    spent: float = 0.0
    spent_without: float = 0.0


@dataclass
class Truth:
    """`wishes` are, for each item that was shown, the probability of a click. `lost` are orders that lists have displaced."""

    impressions: set[Link] = field(default_factory=set)
    clicks: set[Link] = field(default_factory=set)
    carts: list[Link | None] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    wishes: dict[Link, float] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=lambda: defaultdict(Outcome))
    forged: int = 0
    expired: int = 0
    events: int = 0
    repeated: int = 0
    lists: int = 0
    merges: int = 0
    spent_without_lists: float = 0.0

    def placed(self, links: Iterable[Link | None], surface: str, variant: str | None = None) -> list[Link]:
        """Those on a surface, of one variant or of all."""
        return [one for one in links if one and one.surface == surface and variant in (None, one.variant)]

    def attributed(self, surface: str, *, viewed: bool = False) -> list[Purchase]:
        """The purchases to which a list of the surface led, or that followed a look at one."""
        led = [(one.seen_in if viewed else one.came_by, one) for one in self.purchases if not one.refunded]
        return [one for link, one in led if link and link.surface == surface]

    def click_rate(self, surface: str, variant: str | None = None) -> float:
        """The expected share of impressions that are clicked."""
        wishes = [self.wishes[link] for link in self.placed(self.impressions, surface, variant)]
        return sum(wishes) / len(wishes) if wishes else 0.0

    def lift(self, variant: str) -> float:
        """What the lists of a surface earned among the shoppers of a variant, as a share of what they would have spent without."""
        outcomes = [one for one in self.outcomes.values() if one.variants == {variant}]
        without = sum(one.spent_without for one in outcomes)
        return sum(one.spent for one in outcomes) / without - 1 if without else 0.0

    @property
    def surfaces(self) -> list[str]:
        return sorted({link.surface for link in self.impressions})

    def variants(self, surface: str) -> list[str]:
        return sorted({link.variant for link in self.impressions if link.surface == surface} - {""})


def revenue(purchases: Collection[Purchase]) -> float:
    return sum(one.amount for one in purchases if not one.refunded)
