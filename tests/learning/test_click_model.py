"""Position bias is estimated and corrected: relevances that are known come back where raw click rates rank wrongly."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from alsobought.learning.click_model import Weights, calibrated_loss, formula, refit, weights_of_rows
from alsobought.learning.examination import estimate
from alsobought.learning.ranker_clicks import refit_model

POSITIONS = 5
TRUE_EXAMINATION = np.array([1.0, 0.6, 0.4, 0.3, 0.2])
ATTRACTION = {"pen": 0.30, "mug": 0.15, "tea": 0.10, "pan": 0.05, "cup": 0.25}
NAMES = [*ATTRACTION]


def shown(lists: int, explore: float, seed: int = 1) -> dict[str, np.ndarray]:
    """Lists of five items in one order, the best item last but one; some positions show a random item by exploration."""
    random = np.random.default_rng(seed)
    order = np.array([NAMES.index(name) for name in ("tea", "pan", "mug", "pen", "cup")])
    items = np.tile(order, (lists, 1))
    explored = random.uniform(size=items.shape) < explore
    items[explored] = random.integers(0, len(NAMES), explored.sum())
    position = np.tile(np.arange(1, POSITIONS + 1), (lists, 1))
    chance = np.array([*ATTRACTION.values()])[items] * TRUE_EXAMINATION[position - 1]
    clicked = random.uniform(size=items.shape) < chance
    features = {name: (items.ravel() == index).astype(float) for index, name in enumerate(NAMES)}
    size = items.size
    return features | {
        "list_key": np.repeat(np.arange(lists), POSITIONS),
        "item_key": items.ravel(),
        "listed": np.arange(size),
        "position": position.ravel(),
        "clicked": clicked.ravel().astype(float),
        "bought": np.zeros(size),
        "explored": explored.ravel(),
    }


def plain(examples: dict[str, np.ndarray]) -> Weights:
    """A slope for each item, without buckets that would say the same."""
    bounds = {name: np.array([]) for name in NAMES}
    return Weights(bounds, np.zeros(2 * len(NAMES)))


def attractions(weights: Weights) -> dict[str, float]:
    return dict(zip(NAMES, weights.values[: len(NAMES)].tolist(), strict=True))


@pytest.mark.parametrize(("explore", "source"), [(0.3, "exploration"), (0.3, "positions")])
def test_examinations_are_estimated_with_and_without_exploration(explore: float, source: str) -> None:
    examples = shown(20_000, explore)
    if source == "positions":
        examples["explored"][:] = False  # what was explored is not known
    columns = plain(examples).columns(examples)
    examination = estimate(columns, examples["position"], examples["clicked"], examples["explored"])
    assert examination.source == source
    assert examination.by_position[:POSITIONS] == pytest.approx(TRUE_EXAMINATION, rel=0.12)
    assert examination.by_position[POSITIONS] == examination.by_position[POSITIONS - 1], (
        "an unknown position is as the last known"
    )


def test_the_clipped_weight_of_a_click_is_at_most_ten() -> None:
    positions = np.tile(np.arange(1, 21), 1000)
    clicked = positions <= 2
    columns = plain(shown(4000, 0)).columns(shown(4000, 0))
    examination = estimate(columns, positions, clicked.astype(float), np.ones(len(positions), bool))
    assert examination.by_position.min() == 0.1
    assert examination.at(np.array([1, 20, 700])).tolist() == pytest.approx([1, 0.1, 0.1])


def test_corrected_clicks_rank_by_attraction_where_raw_rates_do_not() -> None:
    examples = shown(20_000, 0.05)
    clicked, prior = examples["clicked"], plain(examples)
    raw = {name: clicked[examples[name] == 1].mean() for name in NAMES}
    assert max(raw, key=raw.__getitem__) != "pen", "the best item is shown low, so few click it"
    columns = prior.columns(examples)
    examination = estimate(columns, examples["position"], clicked, examples["explored"])
    corrected = attractions(refit(prior, columns, clicked / examination.at(examples["position"]), 1.0))
    assert sorted(NAMES, key=corrected.__getitem__) == sorted(NAMES, key=ATTRACTION.__getitem__)
    odds = {name: np.log(chance / (1 - chance)) for name, chance in ATTRACTION.items()}
    for name in NAMES:
        assert corrected[name] - corrected["tea"] == pytest.approx(odds[name] - odds["tea"], abs=0.2), name
    uncorrected = attractions(refit(prior, columns, clicked, 1.0))
    assert max(uncorrected, key=uncorrected.__getitem__) != "pen"


def test_a_refit_from_nothing_is_a_logistic_regression() -> None:
    examples = shown(2000, 0.3)
    prior, clicked = plain(examples), examples["clicked"]
    columns = prior.columns(examples)
    model = LogisticRegression(C=0.5, solver="newton-cholesky", tol=1e-8).fit(columns, clicked)
    assert refit(prior, columns, clicked, 2.0).values == pytest.approx(model.coef_[0], abs=1e-3)


def test_a_refit_moves_only_what_the_impressions_speak_for() -> None:
    examples = shown(2000, 0.3)
    prior = Weights(plain(examples).bounds, np.array([0.7, -0.3, 0.2, 0.1, 0.9] * 2))
    seen = examples["pen"] + examples["mug"] > 0
    columns = prior.columns(examples)[seen]
    fitted = refit(prior, columns, examples["clicked"][seen], 1.0)
    assert fitted.values[2:5] == pytest.approx(prior.values[2:5], abs=1e-6)
    assert abs(fitted.values[:2] - prior.values[:2]).min() > 0.05
    stiff = refit(prior, columns, examples["clicked"][seen], 1e9)
    assert stiff.values == pytest.approx(prior.values, abs=1e-3)


def test_weights_survive_the_table() -> None:
    examples = shown(3000, 0.3) | {"x": np.random.default_rng(2).normal(size=15_000)}
    weights = formula(examples, ["x", "pen"], 4)
    weights = refit(weights, weights.columns(examples), examples["clicked"], 1.0)
    rows = list(weights.rows(examples, examples["clicked"]))
    again = weights_of_rows(rows)
    assert again.values == pytest.approx(weights.values, abs=1e-8)
    assert {name: bounds.tolist() for name, bounds in again.bounds.items()} == {
        name: bounds.tolist() for name, bounds in weights.bounds.items()
    }


def test_scores_are_compared_by_how_they_rank() -> None:
    examples = shown(4000, 0.3)
    clicked = examples["clicked"]
    good = np.array([*ATTRACTION.values()])[examples["item_key"]]
    loss, same = calibrated_loss(good, clicked), calibrated_loss(np.zeros(len(good)), clicked)
    assert loss == pytest.approx(calibrated_loss(7 * good - 3, clicked), abs=1e-6)
    assert loss < same - 0.001
    assert calibrated_loss(-good, clicked) == pytest.approx(same), "the wrong way round is no better than a constant"


def test_the_guard_compares_on_impressions_that_neither_has_seen() -> None:
    """Weights that were learned from a shop which then changed its mind are worse than those in service."""
    examples = shown(4000, 0.3)
    good = refit_model(examples, [], "click", 10, 1.0)
    assert not good.is_worse
    changed = {name: values.copy() for name, values in examples.items()}
    newest = np.arange(len(changed["listed"])) >= 0.8 * len(changed["listed"])
    random = np.random.default_rng(5)
    liked_before = np.array([*ATTRACTION.values()])[changed["item_key"]] > 0.2
    changed["clicked"][newest] = (random.uniform(size=newest.sum()) < np.where(liked_before[newest], 0.01, 0.3)).astype(
        float
    )
    flat = [{**row, "weight": 0.0} for row in good.rows]
    assert refit_model(changed, flat, "click", 10, 1.0).is_worse
