"""Measures against numbers worked out by hand, against ranx, and by what must always hold; intervals against known answers."""

from __future__ import annotations

import json
from math import log2, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alsobought.evaluation.bootstrap import Bootstrap, difference, interval
from alsobought.evaluation.measures import MEASURES, auc, of_lists, of_questions
from alsobought.evaluation.tasks import Query

NAMES = [f"i{n}" for n in range(30)]
ITEMS = st.sampled_from(NAMES)
LISTS = st.lists(ITEMS, unique=True, max_size=20)
BUSY = settings(deadline=None, max_examples=50)  # a machine may be busy
TRUTHS = st.frozensets(ITEMS, min_size=1, max_size=15)


def measured(items: list[str], truth: set[str] | frozenset[str], k: int = 10) -> dict[str, float]:
    row = of_questions([items], [Query("u", frozenset(truth))], k)[0]
    return dict(zip(MEASURES, row.tolist(), strict=True))


def test_by_hand() -> None:
    """Hits at places 2 and 4 of a list of 4; three right items."""
    found = measured(["x", "a", "y", "b"], {"a", "b", "c"})
    dcg = 1 / log2(3) + 1 / log2(5)
    ideal = 1 + 1 / log2(3) + 1 / log2(4)
    assert found == pytest.approx({"recall": 2 / 3, "ndcg": dcg / ideal, "hit": 1, "mrr": 1 / 2})
    assert measured(["x", "a", "y", "b"], {"a", "b", "c"}, k=1) == dict.fromkeys(MEASURES, 0)
    assert measured([], {"a"}) == dict.fromkeys(MEASURES, 0)


def test_an_item_that_comes_twice_counts_once_and_takes_one_place() -> None:
    assert measured(["a", "a", "b"], {"a", "b"}, k=2) == dict.fromkeys(MEASURES, 1)


def test_they_say_what_ranx_says() -> None:
    golden = json.loads((Path(__file__).parent / "ranx.json").read_text())  # by make_ranx.py
    assert len(golden["questions"]) == 25
    assert any(0 < one["measures"]["ndcg"] < 1 for one in golden["questions"])
    for one in golden["questions"]:
        assert measured(one["list"], set(one["truth"]), golden["at"]) == pytest.approx(one["measures"]), one


@BUSY
@given(LISTS, TRUTHS, st.integers(1, 20))
def test_measures_are_shares_and_agree_with_each_other(items: list[str], truth: frozenset[str], k: int) -> None:
    found = measured(items, truth, k)
    assert all(0 <= value <= 1 + 1e-12 for value in found.values())
    assert len({value > 0 for value in found.values()}) == 1, "either all see a hit or none"
    assert found["mrr"] <= found["hit"]
    assert measured(items, truth, k + 1)["recall"] >= found["recall"]
    best = min(k, len(truth))
    assert (found["ndcg"] > 1 - 1e-12) == (len(items) >= best and truth.issuperset(items[:best]))


@BUSY
@given(LISTS.filter(lambda items: len(items) > 1), TRUTHS, st.data())
def test_a_hit_that_moves_up_is_never_worse(items: list[str], truth: frozenset[str], data: st.DataObject) -> None:
    place = data.draw(st.integers(1, len(items) - 1))
    if items[place] in truth and items[place - 1] not in truth:
        better = [*items[: place - 1], items[place], items[place - 1], *items[place + 1 :]]
        before, after = measured(items, truth), measured(better, truth)
        assert all(after[name] >= before[name] - 1e-12 for name in MEASURES)


def test_what_lists_are_like_by_hand() -> None:
    """Of 8 buyers all bought a, two b, one c; d is new. Categories: a and b are alike."""
    lists = [["a", "b", "c"], ["a", "d"], ["c"], []]
    category = {"a": "A", "b": "A", "c": "C"}
    found = of_lists(lists, 3, {"a": 8, "b": 2, "c": 1, "e": 1}, 8, lambda item: category.get(item, ""))
    assert found.coverage == 3 / 4, "d was never sold before"
    assert found.novelty == pytest.approx((0 + 2 + 3 + 0 + 3 + 3) / 6)
    assert found.diversity == pytest.approx((2 / 3 + 1) / 2)
    assert (found.length, found.empty) == (6 / 4, 1 / 4)


def test_auc_by_hand() -> None:
    assert auc([3.0, 2.0, 1.0], [True, False, False]) == 1
    assert auc([1.0, 2.0, 3.0], [True, False, False]) == 0
    assert auc([1.0, 1.0, 1.0], [True, False, False]) == 0.5
    assert auc([0.4, 0.35, 0.8, 0.1], [True, False, True, False]) == 1
    with pytest.raises(ValueError, match="both"):
        auc([1.0], [True])


@BUSY
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2).filter(lambda x: len({b for _, b in x}) == 2))
def test_auc_is_the_share_of_pairs_in_the_right_order(rows: list[tuple[int, bool]]) -> None:
    good, bad = [[s for s, wanted in rows if wanted is kind] for kind in (True, False)]
    pairs = [(one > other) + (one == other) / 2 for one in good for other in bad]
    assert auc([float(s) for s, _ in rows], [wanted for _, wanted in rows]) == pytest.approx(sum(pairs) / len(pairs))


# Intervals


def test_an_interval_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(3).normal(0.3, 0.2, (2_000, 1))
    means = Bootstrap([f"u{n}" for n in range(2_000)]).means(values)
    found = interval(values[:, 0], means[:, 0])
    assert means.shape == (1_000, 1)
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.2 / sqrt(2_000), rel=0.1)


def test_people_are_drawn_with_all_their_questions() -> None:
    """Two people of ten questions each are two, not twenty."""
    values = np.array([[1.0]] * 10 + [[0.0]] * 10)
    means = Bootstrap(["ada"] * 10 + ["bob"] * 10).means(values)
    assert set(np.round(means[:, 0], 12)) == {0.0, 0.5, 1.0}
    many = Bootstrap([f"u{n}" for n in range(20)]).means(values)
    assert many.std() < means.std() / 2


def test_who_asks_more_weighs_more() -> None:
    values = np.array([[1.0], [0.0], [0.0], [0.0]])
    means = Bootstrap(["ada", "bob", "bob", "bob"]).means(values)
    assert set(np.round(means[:, 0], 12)) == {0.0, 0.25, 1.0}


def test_systems_are_held_against_each_other_on_the_same_draws() -> None:
    """A constant lead is sure, however much people differ."""
    values = np.random.default_rng(1).random((50, 1))
    people = [f"u{n}" for n in range(50)]
    one, other = values + 0.01, values
    means = [Bootstrap(people, seed=7).means(each)[:, 0] for each in (one, other)]
    found = difference((one[:, 0], means[0]), (other[:, 0], means[1]))
    assert (found.mean, found.low, found.high) == pytest.approx((0.01, 0.01, 0.01))
    assert found.above == 1
    assert difference((other[:, 0], means[1]), (one[:, 0], means[0])).above == 0


def test_draws_are_the_same_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values, people = np.random.default_rng(1).random((40, 2)), [f"u{n % 7}" for n in range(40)]
    whole = Bootstrap(people, seed=5).means(values)
    monkeypatch.setattr("alsobought.evaluation.bootstrap.AT_ONCE", 20)
    assert np.array_equal(Bootstrap(people, seed=5).means(values), whole)
