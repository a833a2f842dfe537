"""Measures against numbers calculated by hand, against ranx, and by properties; intervals against known answers."""

from __future__ import annotations

import json
from math import log2, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alsobought.evaluation.bootstrap import Bootstrap, difference, interval
from alsobought.evaluation.measures import MEASURES, auc, list_measures, query_measures
from alsobought.evaluation.tasks import Query

NAMES = [f"i{n}" for n in range(30)]
ITEMS = st.sampled_from(NAMES)
LISTS = st.lists(ITEMS, unique=True, max_size=20)
BUSY = settings(deadline=None, max_examples=50)  # for a busy machine
TRUTHS = st.frozensets(ITEMS, min_size=1, max_size=15)


def measured(items: list[str], truth: set[str] | frozenset[str], k: int = 10) -> dict[str, float]:
    row = query_measures([items], [Query("u", frozenset(truth))], k)[0]
    return dict(zip(MEASURES, row.tolist(), strict=True))


def test_by_hand() -> None:
    """Hits at ranks 2 and 4 of a list of 4; three relevant items."""
    values = measured(["x", "a", "y", "b"], {"a", "b", "c"})
    dcg = 1 / log2(3) + 1 / log2(5)
    ideal = 1 + 1 / log2(3) + 1 / log2(4)
    assert values == pytest.approx({"recall": 2 / 3, "ndcg": dcg / ideal, "hit": 1, "mrr": 1 / 2})
    assert measured(["x", "a", "y", "b"], {"a", "b", "c"}, k=1) == dict.fromkeys(MEASURES, 0)
    assert measured([], {"a"}) == dict.fromkeys(MEASURES, 0)


def test_a_repeated_item_counts_once_and_takes_one_rank() -> None:
    assert measured(["a", "a", "b"], {"a", "b"}, k=2) == dict.fromkeys(MEASURES, 1)


def test_measures_equal_those_of_ranx() -> None:
    golden = json.loads((Path(__file__).parent / "ranx.json").read_text())  # by make_ranx.py
    assert len(golden["questions"]) == 25
    assert any(0 < query["measures"]["ndcg"] < 1 for query in golden["questions"])
    for query in golden["questions"]:
        assert measured(query["list"], set(query["truth"]), golden["at"]) == pytest.approx(query["measures"]), query


@BUSY
@given(LISTS, TRUTHS, st.integers(1, 20))
def test_measures_are_shares_and_agree_with_each_other(items: list[str], truth: frozenset[str], k: int) -> None:
    values = measured(items, truth, k)
    assert all(0 <= value <= 1 + 1e-12 for value in values.values())
    assert len({value > 0 for value in values.values()}) == 1, "either all measures have a hit or none"
    assert values["mrr"] <= values["hit"]
    assert measured(items, truth, k + 1)["recall"] >= values["recall"]
    best = min(k, len(truth))
    assert (values["ndcg"] > 1 - 1e-12) == (len(items) >= best and truth.issuperset(items[:best]))


@BUSY
@given(LISTS.filter(lambda items: len(items) > 1), TRUTHS, st.data())
def test_moving_a_hit_up_is_never_worse(items: list[str], truth: frozenset[str], data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, len(items) - 1))
    if items[rank] in truth and items[rank - 1] not in truth:
        better = [*items[: rank - 1], items[rank], items[rank - 1], *items[rank + 1 :]]
        before, after = measured(items, truth), measured(better, truth)
        assert all(after[name] >= before[name] - 1e-12 for name in MEASURES)


def test_list_measures_by_hand() -> None:
    """Of 8 buyers all bought a, two b, one c; d is new. a and b have the same category."""
    lists = [["a", "b", "c"], ["a", "d"], ["c"], []]
    category = {"a": "A", "b": "A", "c": "C"}
    measures = list_measures(lists, 3, {"a": 8, "b": 2, "c": 1, "e": 1}, 8, lambda item: category.get(item, ""))
    assert measures.coverage == 3 / 4, "d was never sold before"
    assert measures.novelty == pytest.approx((0 + 2 + 3 + 0 + 3 + 3) / 6)
    assert measures.diversity == pytest.approx((2 / 3 + 1) / 2)
    assert (measures.length, measures.empty) == (6 / 4, 1 / 4)


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
    good, bad = [[s for s, relevant in rows if relevant is label] for label in (True, False)]
    pairs = [(one > other) + (one == other) / 2 for one in good for other in bad]
    assert auc([float(s) for s, _ in rows], [relevant for _, relevant in rows]) == pytest.approx(
        sum(pairs) / len(pairs)
    )


# Intervals


def test_the_width_of_an_interval_agrees_with_theory() -> None:
    values = np.random.default_rng(3).normal(0.3, 0.2, (2_000, 1))
    means = Bootstrap([f"u{n}" for n in range(2_000)]).means(values)
    mean = interval(values[:, 0], means[:, 0])
    assert means.shape == (1_000, 1)
    assert mean.mean == pytest.approx(values.mean())
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * 0.2 / sqrt(2_000), rel=0.1)


def test_users_are_resampled_with_all_their_queries() -> None:
    """Two users with ten queries each are two samples, not twenty."""
    values = np.array([[1.0]] * 10 + [[0.0]] * 10)
    means = Bootstrap(["ada"] * 10 + ["bob"] * 10).means(values)
    assert set(np.round(means[:, 0], 12)) == {0.0, 0.5, 1.0}
    many = Bootstrap([f"u{n}" for n in range(20)]).means(values)
    assert many.std() < means.std() / 2


def test_users_with_more_queries_have_more_weight() -> None:
    values = np.array([[1.0], [0.0], [0.0], [0.0]])
    means = Bootstrap(["ada", "bob", "bob", "bob"]).means(values)
    assert set(np.round(means[:, 0], 12)) == {0.0, 0.25, 1.0}


def test_systems_are_compared_on_the_same_resamples() -> None:
    """A constant lead is certain, however much users differ."""
    values = np.random.default_rng(1).random((50, 1))
    users = [f"u{n}" for n in range(50)]
    one, other = values + 0.01, values
    means = [Bootstrap(users, seed=7).means(each)[:, 0] for each in (one, other)]
    lead = difference((one[:, 0], means[0]), (other[:, 0], means[1]))
    assert (lead.mean, lead.low, lead.high) == pytest.approx((0.01, 0.01, 0.01))
    assert lead.above == 1
    assert difference((other[:, 0], means[1]), (one[:, 0], means[0])).above == 0


def test_resamples_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values, users = np.random.default_rng(1).random((40, 2)), [f"u{n % 7}" for n in range(40)]
    in_one_block = Bootstrap(users, seed=5).means(values)
    monkeypatch.setattr("alsobought.evaluation.bootstrap.BLOCK_SIZE", 20)
    assert np.array_equal(Bootstrap(users, seed=5).means(values), in_one_block)
