"""What simulated shoppers did is what the shop has stored and reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from alsobought.demo.simulator.simulation import ROBOT, Plan, Simulation
from alsobought.demo.simulator.truth import Truth
from alsobought.demo.simulator.visit import BELOW, Clock
from alsobought.evaluation.judgement import exact, judge, violated
from alsobought.evaluation.simulated_shop import CONTROL, RIVAL, SimulatedShop, write_project
from alsobought.service.service import Service
from tests.conftest import NOON
from tests.support.project import ROOT

pytestmark = pytest.mark.embedded
START = NOON.replace(hour=0)
Shop = tuple[SimulatedShop, Truth]


def simulated(make: Callable[..., Service], home: Path, seed: int, shoppers: int, days: int, **plan: int) -> Shop:
    write_project(ROOT, home, START)
    clock = Clock(START)
    shop = SimulatedShop(make(clock, home=str(home), request_retention_days=3650), clock)
    wanted = Plan(seed, shoppers, days, START, **{"history_days": 0, **plan})
    return shop, Simulation(shop.door, clock, wanted, shop.time_has_passed).run()


@pytest.fixture(scope="module")
def small(make_shared_shop: Callable[..., Service], tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Nine days, so that ids expire."""
    return simulated(make_shared_shop, tmp_path_factory.mktemp("small") / "home", 3, 12, 9)


def rows(shop: SimulatedShop, sql: str) -> list[list[object]]:
    return shop.service.warehouse.trusted_rows(sql.format(db=shop.service.settings.database)).data


def test_touches_are_what_was_sent_each_once(small: Shop) -> None:
    shop, truth = small
    assert truth.repeated, "the simulation sends some events twice"
    sql = "select distinct event_type, recommendation_id, item_id from {db}.touches any inner join (select item_id, cityHash64(item_id) as item_key from {db}.events) as named using item_key"
    stored = {kind: set() for kind in ("impression", "click")}
    for kind, rid, item in rows(shop, sql):
        if kind in stored:
            stored[kind].add((rid, item))
    assert stored["impression"] == {(link.recommendation_id, link.item_id) for link in truth.impressions}
    assert stored["click"] == {(link.recommendation_id, link.item_id) for link in truth.clicks}
    positions = "select recommendation_id, min(position) from {db}.touches group by recommendation_id, item_key"
    sent = Counter((link.recommendation_id, link.position) for link in truth.impressions)
    assert Counter(map(tuple, rows(shop, positions))) == sent


def test_forged_and_expired_ids_are_told_apart_and_touch_nothing(small: Shop) -> None:
    shop, truth = small
    sql = "select user_id = '{robot}', recommended_at = 0, count() from {{db}}.events where recommendation_id != '' and placement = 0 group by all"
    assert truth.expired
    found = {(robot, bool(forged)): count for robot, forged, count in rows(shop, sql.format(robot=ROBOT))}
    assert found == {(True, True): truth.forged, (False, False): truth.expired}
    assert rows(shop, f"select count() from {{db}}.touches where user_id = '{ROBOT}'") == [[0]]


def test_every_count_of_the_reports_is_the_truth(small: Shop) -> None:
    shop, truth = small
    claims = judge(truth, shop.door, START, START + timedelta(days=9))
    assert [claim for claim in violated(claims) if claim.verdict == "violated"] == []
    counts = {claim.what: claim.true for claim in claims if claim.verdict == "exact" and claim.where == BELOW}
    assert counts["impressions"] == len(truth.placed(truth.impressions, BELOW)) > 0
    assert counts["purchases"] == len(truth.attributed(BELOW)) > 0


def test_a_count_that_is_off_by_one_is_violated(small: Shop) -> None:
    shop, truth = small
    lost = next(iter(truth.clicks))
    without = Truth(**{**vars(truth), "clicks": truth.clicks - {lost}})
    claims = judge(without, shop.door, START, START + timedelta(days=9))
    assert (lost.surface, "clicks") in {(claim.where, claim.what) for claim in violated(claims)}
    assert exact("clicks", BELOW, 3, None).verdict == "violated"


def test_the_same_seed_gives_the_same_shop(
    small: Shop, make_shop: Callable[..., Service], tmp_path: Path
) -> None:
    def facts(truth: Truth) -> object:
        clicked = sorted((link.surface, link.variant, link.item_id, link.position) for link in truth.clicks)
        bought = sorted((one.order_id, one.item_id, one.amount, one.caused, one.refunded) for one in truth.purchases)
        return clicked, bought, len(truth.impressions), truth.events, truth.spent_without_lists

    assert facts(simulated(make_shop, tmp_path / "home", 3, 12, 9)[1]) == facts(small[1])


@pytest.mark.thorough
def test_the_better_variant_wins_and_the_lift_is_within_its_interval(
    make_shop: Callable[..., Service], tmp_path: Path
) -> None:
    shop, truth = simulated(make_shop, tmp_path / "home", 7, 400, 14, history_days=20, history_shoppers=100)
    claims = judge(truth, shop.door, START, START + timedelta(days=14))
    assert violated(claims) == []
    named = {claim.what: claim for claim in claims}
    assert (named["better variant"].true, named["better variant"].verdict) == (RIVAL, "agrees")
    lift = named["lift over the holdout"]
    assert lift.verdict == "within"
    assert lift.true == truth.lift(CONTROL) > 0
