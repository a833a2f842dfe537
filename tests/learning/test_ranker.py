"""What a ranker learns is what was bought, of features as they were then, by the text that answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from alsobought.errors import Unusable
from alsobought.events import Event, Item
from alsobought.learning.context import Context
from alsobought.learning.logistic import edges, fitted, judged
from alsobought.learning.ranker import midnight
from alsobought.learning.registry import learn
from alsobought.learning.runs import latest
from alsobought.service.service import Service
from alsobought.serving.answers import answer
from alsobought.writer.submission import Submission
from tests.conftest import NOON
from tests.learning.test_learning import no_bar
from tests.support.project import ROOT

CHEAP, DEAR = ("c1", "c2", "c3"), ("d1", "d2", "d3")
SHOWN = tuple(f"page{number}" for number in range(12))


def history(shop: Service) -> None:
    """In autumn everything stands with everything; in December people buy, with what is shown, only what is cheap."""
    items = [Item(item_id=item, title=item, category="All", price=1.0) for item in (*CHEAP, *SHOWN)]
    items += [Item(item_id=item, title=item, category="All", price=50.0) for item in DEAR]
    events = [
        Event(event_type="purchase", user_id=f"u{number % 20}", order_id=f"a{number}", item_id=item, timestamp=when)
        for number in range(60)
        for when in [NOON - timedelta(days=35 + number % 25)]
        for item in (SHOWN[number % 12], CHEAP[number % 3], DEAR[number % 3])
    ]
    events += [
        Event(event_type="purchase", user_id=f"u{number % 20}", order_id=f"b{number}", item_id=item, timestamp=when)
        for number in range(120)
        for when in [NOON - timedelta(days=1 + number % 25)]
        for item in (SHOWN[number % 12], CHEAP[number % 3])
    ]
    shop.writer.submit(Submission(items)).result()
    shop.writer.submit(Submission(events)).result()


@pytest.fixture(scope="module")
def taught(make_shared_shop: Any) -> Service:
    shop: Service = make_shared_shop()
    history(shop)
    context = Context(shop.warehouse, ROOT, NOON, no_bar)
    learn("ranker", context, {"items": 100, "people": 20, "days": 31})
    return shop


def weights(shop: Service, model: str) -> list[dict[str, Any]]:
    sql = "select * from ranker_weights where model = {model:String} order by place, bucket"
    return shop.warehouse.rows(sql, {"model": model}).dicts()


def test_what_people_then_bought_comes_first_although_as_many_baskets_held_the_other(taught: Service) -> None:
    asked = {"item_id": ["page0"], "limit": ["6"]}
    rows = answer(taught.library, taught.warehouse, "also_bought_ranked", asked, datetime(2025, 12, 1, tzinfo=UTC)).data
    baskets = {row[1]: row[4] for row in rows if row[4] is not None}
    assert list(baskets)[:2] == ["c1", "d1"], rows
    assert baskets["c1"] == baskets["d1"]


def test_scores_are_the_weights_added_up(taught: Service) -> None:
    """By the table alone, as an analyst would: the slope times the value, and the bucket that the value lies in."""
    rows, features = weights(taught, "also_bought"), served(taught)
    names = list(dict.fromkeys(row["feature"] for row in rows))
    asked = {"item_id": ["page0"], "limit": ["100"]}
    now = datetime(2025, 12, 1, tzinfo=UTC)
    shown = answer(taught.library, taught.warehouse, "also_bought_ranked", asked, now)
    scores = {row[1]: row[5] for row in shown.data if row[4] is not None}
    assert scores
    for other, score in scores.items():
        total = 0.0
        for name in names:
            value = features[other][name]
            mine = [row for row in rows if row["feature"] == name]
            total += mine[0]["weight"] * value
            total += next(row["weight"] for row in mine[1:] if row["above"] < value <= row["up_to"])
        assert score == pytest.approx(np.exp(total), rel=1e-4, abs=1e-6)


def served(shop: Service) -> dict[str, dict[str, float]]:
    """The features of page0's candidates on the first of December, as the pipe has them."""
    asked = {"item_id": ["page0"], "limit": ["300"]}
    found = answer(shop.library, shop.warehouse, "item_features", asked, datetime(2025, 12, 1, tzinfo=UTC))
    names = [column.name for column in found.meta]
    return {row[1]: dict(zip(names, row, strict=True)) for row in found.data}


def test_what_is_served_is_what_was_learnt_of(taught: Service) -> None:
    """Asked on the day as of which was learnt, the pipe's text has the learner's numbers, although more came since."""
    begin = datetime(2025, 12, 1, tzinfo=UTC)
    context = Context(taught.warehouse, ROOT, NOON, no_bar)
    key = int(taught.warehouse.value("select cityHash64('page0')"))
    learnt = context.columns("ranker_pairs", keys=[key], as_of=int(begin.timestamp()))
    names = dict(taught.warehouse.rows("select item_key, any(item_id) from item_ids group by item_key").data)
    others = [names[other] for other in learnt["other_item_key"].tolist()]
    found = served(taught)
    assert set(found) == set(others) != set()
    for name in set(learnt) - {"item_key", "other_item_key", "times", "decayed"}:
        assert [found[other][name] for other in others] == pytest.approx(learnt[name].tolist(), rel=1e-9), name


def test_the_table_has_the_features_in_the_order_of_the_macros(taught: Service) -> None:
    """Scores take a feature by its place."""
    for model, file in (("also_bought", "ranker.sql"), ("rank", "candidates.sql")):
        text = (ROOT / "sql" / "macros" / file).read_text()
        listed = text.split("_values() -%}")[1].split("]")[0].split("[")[1]
        names = list(dict.fromkeys((row["place"], row["feature"]) for row in weights(taught, model)))
        assert names == list(enumerate((name.strip() for name in listed.split(",")), start=1))


def test_quality_is_told_beside_the_formula(taught: Service) -> None:
    run = latest(taught.warehouse)["ranker"]
    assert run.quality["also_bought_auc"] > run.quality["also_bought_auc_of_formula"]
    assert run.quality["also_bought_log_loss"] < run.quality["also_bought_log_loss_of_formula"]
    assert "as of 2025-12-01" in run.line
    assert run.rows == {"ranker_weights": len(weights(taught, "also_bought")) + len(weights(taught, "rank"))}


def test_nothing_to_learn_of_is_said(shop: Service) -> None:
    with pytest.raises(Unusable, match="too little was bought since 2025-12-04"):
        learn("ranker", Context(shop.warehouse, ROOT, NOON, no_bar), {})


def test_a_day_begins_in_utc() -> None:
    assert midnight(datetime.fromisoformat("2026-03-31T23:00:00-03:00")) == datetime(2026, 4, 1, tzinfo=UTC)


def test_buckets_hold_equal_weight_and_none_is_empty() -> None:
    values = np.array([1.0, 2, 3, 4, 4, 4])
    assert edges(values, np.ones(6), 3).tolist() == [2]
    assert edges(values, np.array([1.0, 1, 1, 3, 3, 3]), 2).tolist() == []
    assert edges(np.arange(10.0), np.ones(10), 5).tolist() == [1, 3, 5, 7]


def test_a_weight_is_found_again() -> None:
    """Of pairs that are bought by a known rule: four times the chance for each unit of x, twice above 0.5 of z."""
    random = np.random.default_rng(1)
    size = 40_000
    formula, x, z = random.normal(-4, 0.5, size), random.uniform(-1, 1, size), random.uniform(0, 1, size)
    odds = formula + np.log(4) * x + np.log(2) * (z > 0.5)
    read = {
        "formula": formula,
        "x": x,
        "z": z,
        "asked": np.ones(size),
        "bought": (random.uniform(size=size) < 1 / (1 + np.exp(-odds))).astype(float),
    }
    rows = list(fitted(read, ["formula", "x", "z"], 2, 0.001))
    chance = {(row["feature"], row["bucket"]): row["weight"] for row in rows}

    def effect(name: str, low: float, high: float) -> float:
        jump = chance[name, 2] - chance[name, 1]
        return float(chance[name, 0] * (high - low) + jump)

    assert effect("x", -0.5, 0.5) == pytest.approx(np.log(4), abs=0.35)
    assert effect("z", 0.25, 0.75) == pytest.approx(np.log(2), abs=0.35)
    found = judged(read, ["formula", "x", "z"], 2, 0.001, np.arange(size) % 5 == 0)
    assert found["auc"] > found["auc_of_formula"] + 0.05
    assert found["log_loss"] < found["log_loss_of_formula"]
