"""The sums of an experiment, from posted events and recorded requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alsobought.experimentation.reading import ASKED, CROSSED, EXPOSED, Daily, read_sums
from alsobought.experimentation.votes import Votes, read_votes
from alsobought.recommendation_ids import Placement
from alsobought.service.service import Service
from alsobought.serving.answer import Answer
from alsobought.serving.request_log import RequestRecord
from alsobought.storage.results import Column, Statistics
from alsobought.surfaces.experiment import INTERLEAVED, Experiment, Variant
from alsobought.web.factory import create_app

NOW = datetime.now(UTC).replace(
    hour=12, minute=0, second=0, microsecond=0
)  # requests of an earlier year expire at once
FIRST = NOW - timedelta(days=2, hours=2)
EXPERIMENT = Experiment(
    "ranked", "cart", (Variant("control", 4500), Variant("new", 4500), Variant("nothing", 1000, holdout=True)),
    since=FIRST.date(),
)  # fmt: skip


class Shoppers:
    """Shows lists, and posts what users do."""

    def __init__(self, shop: Service) -> None:
        self.shop, self.client = shop, create_app(shop).test_client()
        self.waiting: list[dict[str, Any]] = []

    def post(self, *events: dict[str, Any]) -> None:
        response = self.client.post("/events?wait=true", json=list(events))
        assert response.status_code == 200, response.text

    def see(self, user: str, variant: str, at: datetime = FIRST, items: tuple[str, ...] = ("tea",)) -> str:
        """The user asks for a list, and sees these items of it. Returns the list's id."""
        self.ask(user, variant, at)
        placement = Placement("also_bought", "v1", "cart", "ranked", variant)
        listed = self.shop.recommendations.mint(placement, at)
        self.post(*({"event_type": "impression", "item_id": item} | self.by(user, at, listed) for item in items))
        return listed

    def ask(self, user: str, variant: str, at: datetime = FIRST) -> None:
        placement = Placement("also_bought", "v1", "cart", "ranked", variant)
        assert self.shop.request_log
        self.shop.request_log.add(RequestRecord(at, "r", placement, b"{}", 200, "", 0.0, None, unit=user))

    def draft(self, user: str, teams: Mapping[str, str], at: datetime = FIRST, *, recorded: bool = True) -> str:
        """The user sees an interleaved list: its items, each with its team. Returns the list's id."""
        placement = Placement("also_bought", "v1", "cart", "ranked", INTERLEAVED)
        listed = self.shop.recommendations.mint(placement, at)
        sources = tuple(f"{team}/also_bought" for team in teams.values())
        answer = Answer(
            self.shop.library["popular"], None, [Column("item_id", "String")], [[item] for item in teams],
            Statistics(0.0, 0, 0), drafted_by=sources,
        )  # fmt: skip
        assert self.shop.request_log
        if recorded:
            self.shop.request_log.add(RequestRecord(at, "r", placement, b"{}", 200, "", 0.0, answer, listed, user))
        self.waiting += [{"event_type": "impression", "item_id": item} | self.by(user, at, listed) for item in teams]
        return listed

    def choose(self, user: str, listed: str, item: str, at: datetime = FIRST) -> None:
        """A click in the list, and later a purchase that does not name it."""
        self.waiting.append({"event_type": "click", "item_id": item} | self.by(user, at, listed))
        line = {"event_type": "purchase", "order_id": f"{user} {listed} {item}", "item_id": item, "price": 5}
        self.waiting.append(line | self.by("eve" if user.startswith("guest") else user, at + timedelta(hours=1)))

    def buy(self, user: str, at: datetime, order: str, *prices: float) -> None:
        line = {"event_type": "purchase", "order_id": order} | self.by(user, at)
        self.post(*(line | {"item_id": f"i{number}", "price": price} for number, price in enumerate(prices)))

    def click(self, user: str, at: datetime, listed: str, item: str = "tea") -> None:
        self.post({"event_type": "click", "item_id": item} | self.by(user, at, listed))

    def by(self, user: str, at: datetime, listed: str = "") -> dict[str, Any]:
        who = {"session_id": user} if user.startswith("guest") else {"user_id": user, "session_id": f"of {user}"}
        return who | {"timestamp": at.isoformat(), "recommendation_id": listed}

    def sums(self, experiment: Experiment = EXPERIMENT) -> Daily:
        self.shop.recommendations.flush()
        assert self.shop.request_log
        self.shop.request_log.flush()
        return read_sums(self.shop.warehouse, self.shop.settings.home_folder, experiment, NOW)


@pytest.fixture
def shoppers(make_shop: Callable[..., Service]) -> Shoppers:
    return Shoppers(make_shop(lambda: NOW, recommendation_days=30))


def test_what_units_spend_after_they_saw_a_list_counts_by_day(shoppers: Shoppers) -> None:
    shoppers.see("ada", "control")
    shoppers.see("bob", "new")
    shoppers.buy("ada", FIRST - timedelta(days=2), "before", 7)
    shoppers.buy("ada", FIRST - timedelta(days=40), "long before", 1000)
    shoppers.buy("bob", FIRST - timedelta(days=2), "another before", 21)
    shoppers.buy("ada", FIRST + timedelta(hours=1), "one", 10, 5)
    shoppers.buy("ada", FIRST + timedelta(days=1), "two", 20)
    shoppers.buy("eve", FIRST + timedelta(days=1), "not in it", 99)
    daily = shoppers.sums()
    revenue = daily.of(EXPOSED, "control", "revenue_per_unit")
    assert [(one.units, one.y, one.yy, one.x, one.xy) for one in revenue] == [
        (1, 15, 225, 7, 105),
        (1, 35, 1225, 7, 245),
        (1, 35, 1225, 7, 245),
    ]
    orders, values = (daily.of(EXPOSED, "control", name)[-1] for name in ("orders_per_unit", "average_order_value"))
    assert (orders.y, orders.yy, orders.x, values.y, values.z, values.yz) == (2, 4, 1, 35, 2, 70)
    assert (values.x, values.xx, values.xy, values.xz) == (-7, 49, -245, -14), "an order of before was worth 14"
    bought = daily.of(EXPOSED, "control", "conversion_rate")[-1]
    assert (bought.y, bought.yy, bought.active) == (1, 1, 1)
    idle = daily.of(EXPOSED, "new", "revenue_per_unit")[-1]
    assert (idle.units, idle.y, idle.z, idle.active) == (1, 0, 1, 0)


def test_a_repeated_impression_and_one_of_another_user_change_no_rate(shoppers: Shoppers) -> None:
    listed = shoppers.see("ada", "control", items=("tea", "mug"))
    impression = {"event_type": "impression", "item_id": "tea"}
    shoppers.post(impression | shoppers.by("ada", FIRST, listed), impression | shoppers.by("bob", FIRST, listed))
    shoppers.click("ada", FIRST, listed)
    shoppers.click("ada", FIRST, listed)
    rate = shoppers.sums().of(EXPOSED, "control", "click_through_rate")[-1]
    assert (rate.units, rate.y, rate.z, rate.yz) == (1, 1, 2, 2)


def test_units_that_saw_two_variants_are_left_out_and_counted(shoppers: Shoppers) -> None:
    shoppers.see("ada", "control")
    shoppers.see("ada", "new")
    shoppers.see("bob", "control")
    daily = shoppers.sums()
    assert [daily.units(EXPOSED, variant) for variant in ("control", "new", CROSSED)] == [1, 0, 1]


def test_a_holdout_is_compared_by_who_asked(shoppers: Shoppers) -> None:
    shoppers.see("ada", "control")
    shoppers.ask("bob", "nothing")
    shoppers.buy("bob", FIRST + timedelta(hours=1), "one", 10)
    daily = shoppers.sums()
    assert [daily.units(EXPOSED, variant) for variant in ("control", "nothing")] == [1, 0]
    assert [daily.units(ASKED, variant) for variant in ("control", "nothing")] == [1, 1]
    assert daily.of(ASKED, "nothing", "revenue_per_unit")[-1].y == 10


def test_a_guest_that_is_merged_follows_the_account(shoppers: Shoppers) -> None:
    shoppers.see("guest-1", "control")
    merged = shoppers.client.post("/users/merge", json={"guest_id": "guest-1", "user_id": "ada"})
    assert merged.status_code == 200, merged.text
    shoppers.buy("ada", FIRST + timedelta(hours=1), "one", 10)
    daily = shoppers.sums()
    for population in (EXPOSED, ASKED):
        revenue = daily.of(population, "control", "revenue_per_unit")[-1]
        assert (population, revenue.units, revenue.y) == (population, 1, 10)


def test_a_session_can_be_the_unit(shoppers: Shoppers) -> None:
    shoppers.see("ada", "control")
    shoppers.buy("ada", FIRST + timedelta(hours=1), "one", 10)
    by_session = Experiment("ranked", "cart", EXPERIMENT.variants, unit="session", since=EXPERIMENT.since)
    revenue = shoppers.sums(by_session).of(EXPOSED, "control", "revenue_per_unit")[-1]
    assert (revenue.units, revenue.y) == (1, 10)


def test_a_list_votes_for_the_variant_whose_items_were_bought_after_a_click(shoppers: Shoppers) -> None:
    next_day, both = FIRST + timedelta(days=1), {"tea": "control", "mug": "new"}
    shoppers.choose("ada", shoppers.draft("ada", both), "mug")
    shoppers.choose("ada", shoppers.draft("ada", both, next_day), "tea", next_day)
    shoppers.choose("guest-1", shoppers.draft("guest-1", both), "mug")
    changed = shoppers.draft("fred", both)
    shoppers.choose("fred", changed, "tea")
    shoppers.choose("fred", changed, "mug", next_day)
    shoppers.draft("bob", both)
    bought = {"event_type": "purchase", "order_id": "without a click", "item_id": "mug", "price": 5}
    shoppers.waiting.append(bought | shoppers.by("bob", FIRST + timedelta(hours=1)))
    shoppers.choose("carl", shoppers.draft("carl", both, recorded=False), "mug")
    shoppers.choose("dora", shoppers.draft("dora", {"tea": "control"}), "pot")
    shoppers.post(*shoppers.waiting)
    merged = shoppers.client.post("/users/merge", json={"guest_id": "guest-1", "user_id": "eve"})
    assert merged.status_code == 200, merged.text
    shoppers.sums()  # stores what waits
    experiment = Experiment(
        "ranked", "cart", EXPERIMENT.variants[:2], metric="purchases", since=FIRST.date(), interleave=True
    )  # fmt: skip
    votes = read_votes(shoppers.shop.warehouse, shoppers.shop.settings.home_folder, experiment, NOW, 7).votes
    first_day, second_day = Votes(6, 1, 1, 3, 3, 1, 3, 3), Votes(7, 1, 1, 4, 2, 1, 1, 3)
    assert votes == (first_day, second_day, second_day), "fred's list is even on the second day"


def test_an_experiment_that_has_not_begun_has_no_days(shoppers: Shoppers) -> None:
    later = Experiment("ranked", "cart", EXPERIMENT.variants, since=NOW.date() + timedelta(days=1))
    assert shoppers.sums(later).days == ()
