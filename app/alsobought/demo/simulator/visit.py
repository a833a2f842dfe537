"""A visit: lists are looked at from the top, products opened, some bought; and what would have been bought without the lists.

Whether a shopper would click or buy a product is drawn once for the visit, however the product is found (`draws`). So a purchase
needs no list if the product was found without one, or on a page to which no list led.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from alsobought.demo.simulator.draws import uniform
from alsobought.demo.simulator.front_door import PageRequest, ShownList
from alsobought.demo.simulator.outbox import Event
from alsobought.demo.simulator.products import Product
from alsobought.demo.simulator.shopper import Shopper, Visit
from alsobought.demo.simulator.truth import Link

HOME, BELOW, SIMILAR = "home.top", "product_page.bottom", "product_page.similar"
FIRST_LOOK = 0.95  # the probability that the first position of a list is examined
POSITION_BIAS = 0.6  # the n-th is examined n ** -0.6 times as often
ABOVE_THE_FOLD = 4  # positions; the others are on the screen of those who scroll
SCROLLING = 0.55
MAX_CLICKS = 2  # on one list
CART_FACTOR = 1.6  # more is put into the cart than bought
DISPLACED = 0.2  # the share of what was wanted anyway that is left, for each product bought because of a list
REFUNDED = 0.06  # of the lines of orders
REMEMBERED, SEEN = timedelta(days=7), timedelta(days=1)  # for so long a shopper knows by which list an item was found
COMES_BACK, DAYS_TO_COME_BACK = 0.12, 4.0  # who does not buy what was opened, may think about it until the next visit


@dataclass
class Clock:
    """The clock of the shop: it shows the time at which the simulation is."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class Memory:
    """A product that the shopper thinks about, and the surfaces by which it was found."""

    item_id: str
    at: float
    by: frozenset[str]


@dataclass
class Shopping:
    """A shopper from visit to visit: what is remembered of lists and products."""

    shopper: Shopper
    came_by: dict[str, tuple[datetime, Link]] = field(default_factory=dict)
    seen_in: dict[str, tuple[datetime, Link]] = field(default_factory=dict)
    thinks_about: list[Memory] = field(default_factory=list)


@dataclass(frozen=True)
class Bought:
    """A line of the order, as in `truth.Purchase`; `refund` is the day on which it is sent back."""

    product: Product
    quantity: int
    caused: bool
    came_by: Link | None
    seen_in: Link | None
    refund: float | None


@dataclass
class Walk:
    """What a visit leaves behind. `without`: the surfaces that are taken away → what would have been bought."""

    events: list[Event] = field(default_factory=list)
    lists: list[ShownList] = field(default_factory=list)
    impressions: list[Link] = field(default_factory=list)
    clicks: list[Link] = field(default_factory=list)
    carts: list[Link | None] = field(default_factory=list)
    bought: list[Bought] = field(default_factory=list)
    wishes: dict[Link, float] = field(default_factory=dict)
    spent_without_home: float = 0.0
    spent_without_lists: float = 0.0


Steps = Generator[PageRequest, list[ShownList], Walk]
"""A visit in steps: it yields a request, is sent the lists, and returns what it leaves behind."""


class Walker:
    """One visit. `sold` are the products of the day by id; `now` is the time on the shopper's own clock."""

    def __init__(self, shopping: Shopping, visit: Visit, sold: Mapping[str, Product], now: datetime) -> None:
        self.shopping, self.visit, self.sold, self.now = shopping, visit, sold, now
        self.shopper = shopping.shopper
        self.key = (self.shopper.seed, self.shopper.name, visit.number)
        self.walk = Walk()
        self._opened: dict[str, Link | None] = {}
        self._ways: dict[str, list[frozenset[str]]] = {}

    def go(self, *, lists: bool = True) -> Steps:
        """The whole visit; without `lists` the shop shows none."""
        if lists:
            yield from self._look_at([HOME], {}, frozenset())
        for number, product in enumerate(self.shopper.searched(self.visit, list(self.sold.values()))):
            self._open(product, None, frozenset())
            if lists and number == 0:
                yield from self._look_at([SIMILAR, BELOW], {"item_id": product.item_id}, frozenset())
        for memory in self.shopping.thinks_about:
            if self.visit.at - memory.at <= DAYS_TO_COME_BACK and memory.item_id in self.sold:
                self._open(self.sold[memory.item_id], None, memory.by)
        self._check_out()
        return self.walk

    def _look_at(
        self, surfaces: Sequence[str], asked: Mapping[str, str], by: frozenset[str]
    ) -> Generator[PageRequest, list[ShownList], None]:
        """Look at the lists of a page that was reached `by` these surfaces."""
        who = {"session_id": self._session_id} if self.visit.as_guest else {"user_id": self.shopper.name}
        for shown in (yield PageRequest(surfaces, {**who, **asked})):
            self.walk.lists.append(shown)
            clicked = list(self._clicked(shown, by | {shown.surface}))
            for product, link in clicked:
                self._open(product, link, by | {shown.surface})
                if shown.surface == HOME:
                    yield from self._look_at([BELOW], {"item_id": product.item_id}, by | {HOME})

    def _clicked(self, shown: ShownList, by: frozenset[str]) -> Iterator[tuple[Product, Link]]:
        """Those that are clicked, from the top; impressions are sent for what is on the screen."""
        scrolls, clicks = uniform(*self.key, shown.surface, sorted(by), "scroll") < SCROLLING, 0
        for position, item_id in enumerate(shown.item_ids, start=1):
            if (position > ABOVE_THE_FOLD and not scrolls) or item_id not in self.sold:
                continue
            product = self.sold[item_id]
            link = Link(shown.recommendation_id, shown.surface, shown.experiment, shown.variant, item_id, position)
            looked, wish = FIRST_LOOK * position**-POSITION_BIAS, self.shopper.wish(product, self.visit.at)
            self._send("impression", item_id, link, seconds=0.2)
            self.walk.impressions.append(link)
            self.walk.wishes[link] = looked * wish if clicks < MAX_CLICKS else 0.0
            self.shopping.seen_in[item_id] = self.now, link
            examined = uniform(*self.key, shown.surface, position, "look") < looked
            if clicks < MAX_CLICKS and examined and uniform(*self.key, item_id, "click") < wish:
                clicks += 1
                yield product, link

    def _open(self, product: Product, link: Link | None, by: frozenset[str]) -> None:
        """Open the page of a product, for the first time in this visit or again."""
        self._ways.setdefault(product.item_id, []).append(by)
        if link:
            self._send("click", product.item_id, link)
            self.walk.clicks.append(link)
            self.shopping.came_by[product.item_id] = self.now, link
        if product.item_id not in self._opened or link:
            self._opened[product.item_id] = link
            self._send("view", product.item_id, link)

    def _check_out(self) -> None:
        """Carts, and the order."""
        for item_id, link in self._opened.items():
            product = self.sold[item_id]
            wanted = min(1.0, CART_FACTOR * self.shopper.purchase_probability(product, self.visit.at))
            if uniform(*self.key, item_id, "buy") < wanted:
                self._send("add_to_cart", item_id, link)
                self.walk.carts.append(self._came_by(item_id))
        order, anyway = self._order(frozenset()), self._order(frozenset({HOME, BELOW, SIMILAR}))
        self.walk.spent_without_home = self._price(self._order(frozenset({HOME})))
        self.walk.spent_without_lists = self._price(anyway)
        self.now += timedelta(seconds=30)
        for item_id in order:
            product, quantity = self.sold[item_id], self._quantity(item_id)
            line = {"order_id": self.order_id, "order_size": len(order), "quantity": quantity, "price": product.price}
            self._send("purchase", item_id, self._opened[item_id], seconds=0, **line)
            came_by = self._came_by(item_id)
            seen_in = None if came_by else self._seen_in(item_id)
            self.walk.bought.append(
                Bought(product, quantity, item_id not in anyway, came_by, seen_in, self._refund(item_id))
            )
        self.shopping.thinks_about = [
            Memory(item_id, self.visit.at, min(self._ways[item_id], key=lambda by: (len(by), sorted(by))))
            for item_id in self._opened
            if item_id not in order and uniform(*self.key, item_id, "comes back") < COMES_BACK
        ]

    def _order(self, without: Collection[str]) -> list[str]:
        """What is bought in a shop without the lists of these surfaces, in the order of the visit."""
        wanted: dict[str, bool] = {}
        for item_id, ways in self._ways.items():
            open_ways = [way for way in ways if way.isdisjoint(without)]
            likely = self.shopper.purchase_probability(self.sold[item_id], self.visit.at)
            if open_ways and uniform(*self.key, item_id, "buy") < likely:
                wanted[item_id] = frozenset() in open_ways
        extra = sum(not anyway for anyway in wanted.values())
        staying = (1 - DISPLACED) ** extra
        return [one for one, anyway in wanted.items() if not anyway or uniform(*self.key, one, "displaced") < staying]

    def _came_by(self, item_id: str) -> Link | None:
        at, link = self.shopping.came_by.get(item_id, (self.now, None))
        return link if self.now - at <= REMEMBERED else None

    def _seen_in(self, item_id: str) -> Link | None:
        at, link = self.shopping.seen_in.get(item_id, (self.now, None))
        return link if self.now - at <= SEEN else None

    def _price(self, order: Collection[str]) -> float:
        """What is paid in the end."""
        paid = [item_id for item_id in order if self._refund(item_id) is None]
        return sum(self._quantity(item_id) * self.sold[item_id].price for item_id in paid)

    def _refund(self, item_id: str) -> float | None:
        """The day on which it is sent back, if that is within the simulation."""
        day = self.visit.at + 1 + 2 * uniform(*self.key, item_id, "refund day")
        returned = uniform(*self.key, item_id, "refund") < REFUNDED
        return day if returned and day < self.shopper.days else None

    def _quantity(self, item_id: str) -> int:
        return 2 if uniform(*self.key, item_id, "two") < 0.15 else 1

    @property
    def order_id(self) -> str:
        return f"order-{self.shopper.name}-{self.visit.number}"

    @property
    def _session_id(self) -> str:
        """That of a guest is a cookie, which stays."""
        return self.shopper.guest_id if self.visit.as_guest else f"session-{self.shopper.name}-{self.visit.number}"

    def _send(self, event_type: str, item_id: str, link: Link | None, *, seconds: float = 12.0, **more: Any) -> None:
        self.now += timedelta(seconds=seconds)
        number = len(self.walk.events)
        event: Event = {
            "event_id": f"{self.shopper.name}-{self.visit.number}-{number}",
            "event_type": event_type,
            "session_id": self._session_id,
            "item_id": item_id,
            "timestamp": self.now.isoformat(timespec="milliseconds"),
            **more,
        }
        if not self.visit.as_guest:
            event["user_id"] = self.shopper.name
        if link:
            event |= {"recommendation_id": link.recommendation_id, "position": link.position}
        self.walk.events.append(event)
