"""What simulated shoppers did is what the shop has stored and reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from alsobought.demo import toyshop
from alsobought.demo.simulator.simulation import ROBOT, Plan, Simulation
from alsobought.demo.simulator.truth import Truth
from alsobought.demo.simulator.visit import BELOW, HOME, Clock
from alsobought.evaluation.judgement import exact, judge, violated
from alsobought.evaluation.simulated_shop import CONTROL, RIVAL, SimulatedShop, write_project
from alsobought.service.service import Service
from tests.conftest import NOON
from tests.support.project import ROOT

pytestmark = pytest.mark.embedded
START = NOON.replace(hour=0)
Shop = tuple[SimulatedShop, Truth]
SMALL = Plan(24, 16, 11, START, history_days=0, posts_a_day=1)
MOST_SEEN = """-- Items by how often they were seen.
--
-- :limit  UInt16 = 10 (1..100)  number of items
select item_id, sum(events) as seen
from user_items
group by item_id
order by seen desc, item_id
limit {{ limit }}
"""
LEAST_SEEN = MOST_SEEN.replace("seen desc", "seen")


def simulated(make: Callable[..., Service], home: Path, plan: Plan, **pipes: str) -> Shop:
    """A simulation with other pipes in place of some."""
    write_project(ROOT, home, START)
    for name, text in pipes.items():
        (home / "pipes" / f"{name}.sql").write_text(text)
    clock = Clock(START)
    shop = SimulatedShop(make(clock, home=str(home), request_retention_days=3650), clock)
    return shop, Simulation(shop.door, clock, plan, shop.time_has_passed).run()


@pytest.fixture(scope="module")
def small(make_shared_shop: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Eleven days, so that ids expire."""
    home = tmp_path_factory.mktemp("small") / "home"
    simple = {"for_you": MOST_SEEN, "also_bought": LEAST_SEEN, "similar_items": LEAST_SEEN, "all_items": MOST_SEEN}
    return simulated(make_shared_shop, home, SMALL, **simple)


def rows(shop: SimulatedShop, sql: str) -> list[list[object]]:
    return shop.service.warehouse.trusted_rows(sql.format(db=shop.service.settings.database)).data


def test_touches_are_what_was_sent_each_once(small: Shop) -> None:
    shop, truth = small
    assert truth.repeated, "the simulation sends some events twice"
    names = "(select distinct item_id, cityHash64(item_id) as item_key from {db}.events) as named"
    stored = rows(
        shop,
        f"select distinct event_type, recommendation_id, item_id from {{db}}.touches inner join {names} using item_key",
    )
    for kind, links in (("impression", truth.impressions), ("click", truth.clicks)):
        assert links
        assert {(rid, item) for event_type, rid, item in stored if event_type == kind} == {
            (link.recommendation_id, link.item_id) for link in links
        }
    positions = "select recommendation_id, min(position) from {db}.touches group by recommendation_id, item_key"
    sent = Counter((link.recommendation_id, link.position) for link in truth.impressions)
    assert Counter(map(tuple, rows(shop, positions))) == sent


def test_forged_and_expired_ids_are_told_apart_and_touch_nothing(small: Shop) -> None:
    shop, truth = small
    invalid = "from {db}.events where recommendation_id != '' and placement = 0"
    assert truth.expired
    found = rows(shop, f"select user_id = '{ROBOT}', recommended_at = 0, count() {invalid} group by all order by all")
    assert found == [[False, False, truth.expired], [True, True, truth.forged]]
    assert rows(shop, f"select count() from {{db}}.touches where user_id = '{ROBOT}'") == [[0]]


def test_every_count_of_the_reports_is_the_truth(small: Shop) -> None:
    shop, truth = small
    claims = judge(truth, shop.door, START, START + timedelta(days=SMALL.days))
    assert [claim for claim in violated(claims) if claim.verdict == "violated"] == []
    counts = {claim.what: claim.true for claim in claims if claim.verdict == "exact" and claim.where == BELOW}
    assert counts["impressions"] == len(truth.placed(truth.impressions, BELOW)) > 0
    assert counts["purchases"] == len({one.came_by for one in truth.attributed(BELOW)}) > 0


def test_a_count_that_is_off_by_one_is_violated(small: Shop) -> None:
    shop, truth = small
    lost = next(iter(truth.clicks))
    without = Truth(**{**vars(truth), "clicks": truth.clicks - {lost}})
    claims = judge(without, shop.door, START, START + timedelta(days=SMALL.days))
    assert (lost.surface, "clicks") in {(claim.where, claim.what) for claim in violated(claims)}
    assert exact("clicks", BELOW, 3, None).verdict == "violated"


class Door:
    """A shop that only writes down what is posted."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def get(self, path: str) -> Any: ...

    def get_all(self, paths: Sequence[str]) -> list[Any]:
        return list(map(self.get, paths))

    def post(self, path: str, body: Any) -> Any:
        if path.startswith("/events"):
            self.events += body


class EmptyDoor(Door):
    """Without lists."""

    def get(self, path: str) -> Any:
        names = [value for name, value in parse_qsl(path.partition("?")[2]) if name == "surface"]
        answer: dict[str, Any] = {"recommendation_id": "r", "experiment": None, "variant": None, "data": []}
        return {"surfaces": dict.fromkeys(names, answer)}


class FixedDoor(Door):
    """It always shows the same."""

    def get(self, path: str) -> Any:
        names = [value for name, value in parse_qsl(path.partition("?")[2]) if name == "surface"]
        rows = [{"item_id": item["item_id"]} for item in toyshop.items()[::7]]
        answer = {"recommendation_id": "r", "experiment": None, "variant": None, "data": rows}
        return {"surfaces": dict.fromkeys(names, answer)}


class NoHomeDoor(FixedDoor):
    """The list of the home page is empty."""

    def get(self, path: str) -> Any:
        answer = super().get(path)["surfaces"]
        return {"surfaces": {name: shown | {"data": shown["data"] * (name != HOME)} for name, shown in answer.items()}}


def test_the_same_seed_gives_the_same_shop_and_another_one_another() -> None:
    def facts(seed: int) -> object:
        truth = Simulation(FixedDoor(), Clock(START), Plan(seed, 30, 9, START, history_days=0)).run()
        assert any(one.caused for one in truth.purchases)
        assert not all(one.caused for one in truth.purchases)
        return truth

    assert facts(3) == facts(3)
    assert facts(3) != facts(4)


def test_lists_cause_what_is_not_bought_without_them() -> None:
    truth = Simulation(FixedDoor(), Clock(START), Plan(3, 200, 9, START, history_days=0)).run()
    without = Simulation(EmptyDoor(), Clock(START), Plan(3, 200, 9, START, history_days=0)).run()
    assert not any(one.caused for one in without.purchases)
    assert without.spent_without_lists == pytest.approx(truth.spent_without_lists)
    assert sum(one.spent for one in without.outcomes.values()) == pytest.approx(truth.spent_without_lists)
    lines = {(one.order_id, one.item_id) for one in without.purchases}
    caused = {(one.order_id, one.item_id) for one in truth.purchases if one.caused}
    assert caused.isdisjoint(lines)
    kept = {(one.order_id, one.item_id) for one in truth.purchases if not one.caused}
    assert kept < lines, "lists displace some purchases"


def test_what_is_spent_without_the_home_page_is_known_of_each_shopper() -> None:
    """The lift over a holdout is computed from it."""
    truth = Simulation(FixedDoor(), Clock(START), Plan(3, 100, 9, START, history_days=0)).run()
    without = Simulation(NoHomeDoor(), Clock(START), Plan(3, 100, 9, START, history_days=0)).run()
    known = {user: outcome.spent_without for user, outcome in truth.outcomes.items()}
    differ = [user for user, outcome in without.outcomes.items() if known[user] != pytest.approx(outcome.spent)]
    assert len(differ) <= len(known) / 50, "what is remembered from an earlier visit is known by one way alone"
    assert sum(known.values()) == pytest.approx(sum(one.spent for one in without.outcomes.values()), rel=0.002)
    assert sum(known.values()) < sum(one.spent for one in truth.outcomes.values())


def test_the_shop_knows_its_customers_before_the_first_list() -> None:
    door = EmptyDoor()
    Simulation(door, Clock(START), Plan(3, 20, 2, START, history_days=0)).run()
    assert any(one["event_type"] == "purchase" and one["timestamp"] < START.isoformat() for one in door.events)


@pytest.mark.thorough
def test_the_better_variant_wins_and_the_lift_is_within_its_interval(
    make_shop: Callable[..., Service], tmp_path: Path
) -> None:
    shop, truth = simulated(make_shop, tmp_path / "home", Plan(7, 300, 14, START))
    claims = judge(truth, shop.door, START, START + timedelta(days=14))
    assert violated(claims) == []
    named = {claim.what: claim for claim in claims}
    assert (named["better variant"].true, named["better variant"].verdict) == (RIVAL, "agrees")
    lift = named["lift over the holdout"]
    assert lift.verdict == "within"
    assert lift.true == truth.lift(CONTROL) > 0
