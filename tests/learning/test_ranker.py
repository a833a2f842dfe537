"""The ranker learns from later purchases, with features as of then, computed by the SQL that serves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from alsobought.errors import Unusable
from alsobought.events import Event
from alsobought.items import Item
from alsobought.learning.context import Context
from alsobought.learning.logistic import bucket_bounds, evaluate_model, fit_weights
from alsobought.learning.ranker_examples import midnight
from alsobought.learning.registry import learn
from alsobought.learning.runs import latest_runs
from alsobought.service.service import Service
from alsobought.serving.answers import answer
from alsobought.writer.submission import Submission
from tests.conftest import NOON
from tests.learning.test_learning import no_bar
from tests.support.project import ROOT

CHEAP, DEAR = ("c1", "c2", "c3"), ("d1", "d2", "d3")
SHOWN = tuple(f"page{number}" for number in range(12))


def history(shop: Service) -> None:
    """In autumn all items are bought together; in December users buy only the cheap ones with the shown one."""
    items = [Item(item_id=item, title=item, category="All", price=1.0) for item in (*CHEAP, *SHOWN)]
    items += [Item(item_id=item, title=item, category="All", price=50.0) for item in DEAR]
    events = [
        Event(event_type="purchase", user_id=f"u{number % 20}", order_id=f"a{number}", item_id=item, timestamp=time)
        for number in range(60)
        for time in [NOON - timedelta(days=35 + number % 25)]
        for item in (SHOWN[number % 12], CHEAP[number % 3], DEAR[number % 3])
    ]
    events += [
        Event(event_type="purchase", user_id=f"u{number % 20}", order_id=f"b{number}", item_id=item, timestamp=time)
        for number in range(120)
        for time in [NOON - timedelta(days=1 + number % 25)]
        for item in (SHOWN[number % 12], CHEAP[number % 3])
    ]
    shop.writer.submit(Submission(items)).result()
    shop.writer.submit(Submission(events)).result()


@pytest.fixture(scope="module")
def learned(make_shared_shop: Any) -> Service:
    shop: Service = make_shared_shop()
    history(shop)
    context = Context(shop.warehouse, ROOT, NOON, no_bar)
    learn("ranker", context, {"items": 100, "people": 20, "days": 31})
    return shop


def weights(shop: Service, model: str) -> list[dict[str, Any]]:
    sql = "select * from ranker_weights where model = {model:String} order by place, bucket"
    return shop.warehouse.rows(sql, {"model": model}).dicts()


def test_later_purchases_rank_first_despite_equal_basket_counts(learned: Service) -> None:
    parameters = {"item_id": ["page0"], "limit": ["6"]}
    rows = answer(
        learned.library, learned.warehouse, "also_bought_ranked", parameters, datetime(2025, 12, 1, tzinfo=UTC)
    ).data
    baskets = {row[1]: row[8] for row in rows if row[8] is not None}
    assert list(baskets)[:2] == ["c1", "d1"], rows
    assert baskets["c1"] == baskets["d1"]


def test_scores_are_sums_of_weights(learned: Service) -> None:
    """Calculated from the table: the slope times the value, plus the weight of the value's bucket."""
    rows, features = weights(learned, "also_bought"), served(learned)
    names = list(dict.fromkeys(row["feature"] for row in rows))
    parameters = {"item_id": ["page0"], "limit": ["100"]}
    now = datetime(2025, 12, 1, tzinfo=UTC)
    shown = answer(learned.library, learned.warehouse, "also_bought_ranked", parameters, now)
    scores = {row[1]: row[9] for row in shown.data if row[8] is not None}
    assert scores
    for other, score in scores.items():
        total = 0.0
        for name in names:
            value = features[other][name]
            of_feature = [row for row in rows if row["feature"] == name]
            total += of_feature[0]["weight"] * value
            total += next(row["weight"] for row in of_feature[1:] if row["above"] < value <= row["up_to"])
        assert score == pytest.approx(np.exp(total), rel=1e-4, abs=1e-6)


def served(shop: Service) -> dict[str, dict[str, float]]:
    """The features of page0's candidates on the first of December, from the pipe."""
    parameters = {"item_id": ["page0"], "limit": ["300"]}
    result = answer(shop.library, shop.warehouse, "item_features", parameters, datetime(2025, 12, 1, tzinfo=UTC))
    names = [column.name for column in result.meta]
    return {row[1]: dict(zip(names, row, strict=True)) for row in result.data}


def test_served_features_equal_learned_features(learned: Service) -> None:
    """With the clock at the learner's day, the pipe has the learner's features, although newer events exist."""
    begin = datetime(2025, 12, 1, tzinfo=UTC)
    context = Context(learned.warehouse, ROOT, NOON, no_bar)
    key = int(learned.warehouse.value("select cityHash64('page0')"))
    training = context.columns("ranker_pairs", keys=[key], as_of=int(begin.timestamp()))
    names = dict(learned.warehouse.rows("select item_key, any(item_id) from item_ids group by item_key").data)
    others = [names[other] for other in training["other_item_key"].tolist()]
    features = served(learned)
    assert set(features) == set(others) != set()
    for name in set(training) - {"item_key", "other_item_key", "times", "decayed"}:
        assert [features[other][name] for other in others] == pytest.approx(training[name].tolist(), rel=1e-9), name


def test_the_table_has_the_features_in_the_order_of_the_macros(learned: Service) -> None:
    """Scores index features by their position."""
    for model, file in (("also_bought", "ranker.sql"), ("rank", "candidates.sql")):
        text = (ROOT / "sql" / "macros" / file).read_text()
        names_in_macro = text.split("_values() -%}")[1].split("]")[0].split("[")[1]
        names = list(dict.fromkeys((row["place"], row["feature"]) for row in weights(learned, model)))
        assert names == list(enumerate((name.strip() for name in names_in_macro.split(",")), start=1))


def test_quality_is_reported_beside_that_of_the_formula(learned: Service) -> None:
    run = latest_runs(learned.warehouse)["ranker"]
    assert run.quality["also_bought_auc"] > run.quality["also_bought_auc_of_formula"]
    assert run.quality["also_bought_log_loss"] < run.quality["also_bought_log_loss_of_formula"]
    assert "as of 2025-12-01" in run.line
    assert run.rows == {"ranker_weights": len(weights(learned, "also_bought")) + len(weights(learned, "rank"))}


def test_too_little_data_is_an_error(shop: Service) -> None:
    with pytest.raises(Unusable, match="too little was bought since 2025-12-04"):
        learn("ranker", Context(shop.warehouse, ROOT, NOON, no_bar), {})


def test_midnight_is_in_utc() -> None:
    assert midnight(datetime.fromisoformat("2026-03-31T23:00:00-03:00")) == datetime(2026, 4, 1, tzinfo=UTC)


def test_buckets_have_equal_weight_and_none_is_empty() -> None:
    values = np.array([1.0, 2, 3, 4, 4, 4])
    assert bucket_bounds(values, np.ones(6), 3).tolist() == [2]
    assert bucket_bounds(values, np.array([1.0, 1, 1, 3, 3, 3]), 2).tolist() == []
    assert bucket_bounds(np.arange(10.0), np.ones(10), 5).tolist() == [1, 3, 5, 7]


def test_known_weights_are_recovered() -> None:
    """Purchases by a known rule: each unit of x multiplies the odds by 4, z above 0.5 by 2."""
    random = np.random.default_rng(1)
    size = 40_000
    formula, x, z = random.normal(-4, 0.5, size), random.uniform(-1, 1, size), random.uniform(0, 1, size)
    odds = formula + np.log(4) * x + np.log(2) * (z > 0.5)
    examples = {
        "formula": formula,
        "x": x,
        "z": z,
        "asked": np.ones(size),
        "bought": (random.uniform(size=size) < 1 / (1 + np.exp(-odds))).astype(float),
    }
    rows = list(fit_weights(examples, ["formula", "x", "z"], 2, 0.001))
    weight = {(row["feature"], row["bucket"]): row["weight"] for row in rows}

    def effect(name: str, low: float, high: float) -> float:
        jump = weight[name, 2] - weight[name, 1]
        return float(weight[name, 0] * (high - low) + jump)

    assert effect("x", -0.5, 0.5) == pytest.approx(np.log(4), abs=0.35)
    assert effect("z", 0.25, 0.75) == pytest.approx(np.log(2), abs=0.35)
    measures = evaluate_model(examples, ["formula", "x", "z"], 2, 0.001, np.arange(size) % 5 == 0)
    assert measures["auc"] > measures["auc_of_formula"] + 0.05
    assert measures["log_loss"] < measures["log_loss_of_formula"]
