"""Days of a shop: shoppers come, robots too; events are posted a few times a day, and the truth is written down."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby

from alsobought.demo import toyshop
from alsobought.demo.simulator.draws import uniform
from alsobought.demo.simulator.front_door import FrontDoor, PageRequest, ShownList
from alsobought.demo.simulator.outbox import BATCH_EVENTS, Event, Outbox
from alsobought.demo.simulator.products import Product, products
from alsobought.demo.simulator.shopper import WARM_UP_DAYS, Shopper, Visit, shoppers
from alsobought.demo.simulator.truth import Link, Purchase, Truth
from alsobought.demo.simulator.visit import HOME, Clock, Shopping, Walk, Walker

Visits = Generator[PageRequest, list[ShownList], None]
ROBOT, ROBOT_EVENTS = "robot", 5  # events a day with ids that were made up
OLD_TAB, OLD_TAB_DAYS = 0.5, 7.2  # a click in a list that is older than its id is valid


@dataclass(frozen=True)
class Plan:
    """`history_days` of other shoppers are in the shop before the first day."""

    seed: int
    shoppers: int
    days: int
    start: datetime
    history_days: int = 30
    history_shoppers: int = 150
    posts_a_day: int = 1


@dataclass
class Simulation:
    """`run` plays it once. `when_time_has_passed` is called after each post, since the shop's caches know no simulated clock.

    `people` are other shoppers than those of the plan.
    """

    door: FrontDoor
    clock: Clock
    plan: Plan
    when_time_has_passed: Callable[[], None] = lambda: None
    truth: Truth = field(default_factory=Truth)
    people: Sequence[Shopper] = ()
    _refunds: list[tuple[float, str, Event]] = field(default_factory=list)

    def run(self, advance: Callable[[int], None] = lambda _: None) -> Truth:
        """Calls `advance(1)` after each day, of the warm-up too."""
        seed = self.plan.seed
        people = self.people or shoppers(seed, self.plan.shoppers, self.plan.days)
        self._outbox = Outbox(self.door, seed)
        self._products = products(seed, self.plan.days)
        self._shopping = {one.name: Shopping(one) for one in people}
        self._first_seen: dict[str, tuple[float, Link]] = {}
        self._merged: set[str] = set()
        self._open_shop()
        visits = sorted(((visit.at, one.name, visit) for one in people for visit in one.visits()), key=lambda v: v[:2])
        by_day = {day: list(group) for day, group in groupby(visits, key=lambda visit: int(visit[0] // 1))}
        for day in range(-WARM_UP_DAYS, self.plan.days):
            self._day(day, [(self._shopping[name], visit) for _, name, visit in by_day.get(day, [])])
            advance(1)
        self._outbox.flush(everything=True)
        self.when_time_has_passed()
        self.truth.events, self.truth.repeated = self._outbox.sent, self._outbox.repeated
        return self.truth

    def _at(self, day: float) -> datetime:
        return self.plan.start + timedelta(days=day)

    def _open_shop(self) -> None:
        """The catalogue, and what others did before."""
        self.clock.now = self._at(-WARM_UP_DAYS)
        self.door.post("/items?wait=true", toyshop.items())
        plan, events = self.plan, list[Event]()
        if plan.history_days:
            events = list(toyshop.history(self.clock.now, plan.history_days, plan.history_shoppers))
        for start in range(0, len(events), BATCH_EVENTS):
            self.door.post("/events?wait=true", events[start : start + BATCH_EVENTS])

    def _day(self, day: int, visits: list[tuple[Shopping, Visit]]) -> None:
        if arriving := [one.fields for one in self._products if one.arrival == day and one.fields]:
            self.clock.now = self._at(day)
            self.door.post("/items?wait=true", arriving)
        sold = {one.item_id: one for one in self._products if one.arrival <= max(day, 0)}
        if day >= 0:
            self._robot(day)
        posts = self.plan.posts_a_day
        for post in range(posts):
            begin, end = day + post / posts, day + (post + 1) / posts
            self.clock.now = self._at(begin)
            self._side_by_side([one for one in visits if begin <= one[1].at < end], sold)
            self._send_refunds(end)
            self.clock.now = self._at(end)
            if day >= -1:  # what happened in the warm-up is posted at its end
                self._outbox.flush()
                self.when_time_has_passed()

    def _side_by_side(self, visits: Collection[tuple[Shopping, Visit]], sold: Mapping[str, Product]) -> None:
        """Shoppers visit the shop at the same time, one who comes twice in turn: what they all ask for next is asked at once.

        The shop answers as of the beginning of the time between two posts, when it has all events that it will have.
        """
        of_shoppers: dict[str, list[tuple[Shopping, Visit]]] = defaultdict(list)
        for shopping, visit in visits:
            of_shoppers[shopping.shopper.name].append((shopping, visit))
        under_way = [self._visits(of_one, sold) for of_one in of_shoppers.values()]
        lists: list[list[ShownList] | None] = [None] * len(under_way)
        while under_way:
            asked = [
                (one, request) for one, shown in zip(under_way, lists, strict=True) if (request := _next(one, shown))
            ]
            under_way, requests = [one for one, _ in asked], [request for _, request in asked]
            answers = self.door.get_all([request.path for request in requests])
            lists = [request.read(answer) for request, answer in zip(requests, answers, strict=True)]

    def _visits(self, visits: Iterable[tuple[Shopping, Visit]], sold: Mapping[str, Product]) -> Visits:
        """Those of one shopper."""
        for shopping, visit in visits:
            shopper = shopping.shopper
            if shopper.kind == "joins" and not visit.as_guest and shopper.name not in self._merged:
                self._merged.add(shopper.name)
                self.door.post("/users/merge", {"guest_id": shopper.guest_id, "user_id": shopper.name})
                self.truth.merges += 1
            walker = Walker(shopping, visit, sold, self._at(visit.at))
            walk = yield from walker.go(lists=visit.at >= 0)
            self._outbox.add(walk.events)
            self._outbox.add(self._old_tab(shopper, visit, walk))
            for bought in walk.bought:
                if bought.refund is not None:
                    self._plan_refund(shopper, walker.order_id, bought.product.item_id, bought.refund)
            if visit.at >= 0:
                self._write_down(shopper, visit, walk, walker.order_id)

    def _write_down(self, shopper: Shopper, visit: Visit, walk: Walk, order_id: str) -> None:
        truth, user = self.truth, shopper.guest_id if shopper.kind == "guest" else shopper.name
        truth.lists += len(walk.lists)
        truth.impressions.update(walk.impressions)
        truth.clicks.update(walk.clicks)
        truth.wishes.update(walk.wishes)
        truth.carts += walk.carts
        outcome = truth.outcomes[user]
        outcome.variants.update(shown.variant for shown in walk.lists if shown.surface == HOME)
        outcome.spent_without += walk.spent_without_home
        truth.spent_without_lists += walk.spent_without_lists
        for line in walk.bought:
            amount = line.quantity * line.product.price
            refunded = line.refund is not None
            truth.purchases.append(
                Purchase(
                    user, line.product.item_id, order_id, amount, line.came_by, line.seen_in, line.caused, refunded
                )
            )
            outcome.spent += 0 if refunded else amount
        if walk.impressions:
            self._first_seen.setdefault(shopper.name, (visit.at, walk.impressions[0]))

    def _old_tab(self, shopper: Shopper, visit: Visit, walk: Walk) -> list[Event]:
        """A click in a list that was left open in a browser for too long."""
        at, link = self._first_seen.get(shopper.name, (visit.at, None))
        if not link or visit.at - at < OLD_TAB_DAYS or visit.as_guest:
            return []
        del self._first_seen[shopper.name]
        if uniform(self.plan.seed, shopper.name, "old tab") >= OLD_TAB or not walk.events:
            return []
        self.truth.expired += 1
        tab = {"event_id": f"{shopper.name}-old-tab", "event_type": "click", "item_id": link.item_id}
        sent = {"recommendation_id": link.recommendation_id, "position": link.position}
        return [{**tab, **sent, "user_id": shopper.name, "timestamp": walk.events[0]["timestamp"]}]

    def _plan_refund(self, shopper: Shopper, order_id: str, item_id: str, day: float) -> None:
        event: Event = {
            "event_id": f"refund-{order_id}-{item_id}",
            "event_type": "refund",
            "order_id": order_id,
            "item_id": item_id,
            "timestamp": self._at(day).isoformat(timespec="milliseconds"),
        }
        known = shopper.kind == "customer" or shopper.name in self._merged
        who = {"user_id": shopper.name} if known else {"session_id": shopper.guest_id}
        heapq.heappush(self._refunds, (day, event["event_id"], event | who))

    def _send_refunds(self, end: float) -> None:
        while self._refunds and self._refunds[0][0] < end:
            self._outbox.add([heapq.heappop(self._refunds)[2]])

    def _robot(self, day: int) -> None:
        """A program that wants to move the numbers, and cannot sign."""
        seed = self.plan.seed
        for number in range(ROBOT_EVENTS):
            made_up = "".join("ABCDEFGHIJKLMNOP"[int(16 * uniform(seed, day, number, n))] for n in range(32))
            self._outbox.add(
                [
                    {
                        "event_id": f"{ROBOT}-{day}-{number}",
                        "event_type": "click",
                        "user_id": ROBOT,
                        "item_id": self._products[number].item_id,
                        "timestamp": self._at(day + 0.1).isoformat(timespec="milliseconds"),
                        "recommendation_id": made_up,
                        "position": 1,
                    }
                ]
            )
            self.truth.forged += 1


def _next(visits: Visits, lists: list[ShownList] | None) -> PageRequest | None:
    """What is asked after these lists; None at the end."""
    try:
        return visits.send(lists) if lists is not None else next(visits)
    except StopIteration:
        return None
