"""Overlaps of two lists: counted by hand, and properties that hold for all lists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alsobought.pipe_diff.overlap import jaccard, mean, quantile, rank_biased_overlap

LISTS = st.lists(st.sampled_from("abcdefghij"), unique=True)


@pytest.mark.parametrize(
    ("one", "other", "jaccard_overlap", "rank_biased"),
    [  # p = 0.5: weights 1, 1/2, 1/4 …
        ("", "", 1, 1),
        ("a", "", 0, 0),
        ("a", "b", 0, 0),
        ("ab", "ba", 1, (0 + 1 / 2) / (3 / 2)),
        ("abc", "acb", 1, (1 + 1 / 2 * 1 / 2 + 1 / 4) / (7 / 4)),
        ("ab", "ac", 1 / 3, (1 + 1 / 2 * 1 / 2) / (3 / 2)),
        ("abcd", "ab", 1 / 2, (1 + 1 / 2 + 1 / 4 * 2 / 3 + 1 / 8 * 2 / 4) / (15 / 8)),
    ],
)
def test_overlaps_equal_those_counted_by_hand(one: str, other: str, jaccard_overlap: float, rank_biased: float) -> None:
    assert jaccard(one, other) == pytest.approx(jaccard_overlap)
    assert rank_biased_overlap(one, other, 0.5) == pytest.approx(rank_biased)


@given(LISTS, LISTS)
def test_an_overlap_is_symmetric_within_0_and_1_and_1_with_itself(one: list[str], other: list[str]) -> None:
    for overlap in (jaccard, rank_biased_overlap):
        assert overlap(one, one) == 1
        assert 0 <= overlap(one, other) == overlap(other, one) <= 1
    assert (rank_biased_overlap(one, other) == 1) == (one == other)
    assert (jaccard(one, other) == 1) == (set(one) == set(other))
    assert (rank_biased_overlap(one, other) == 0) == (not set(one) & set(other) and one != other)


@given(LISTS.filter(lambda items: len(items) > 2))
def test_a_swap_at_the_top_costs_more_than_one_at_the_end(items: list[str]) -> None:
    first, *middle, last = items
    top = [middle[0], first, *middle[1:], last]
    end = [first, *middle[:-1], last, middle[-1]]
    assert rank_biased_overlap(items, top) < rank_biased_overlap(items, end)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5)), min_size=1), st.sampled_from([0.5, 0.95]))
def test_weights_stand_for_repeats(values: list[tuple[int, int]], share: float) -> None:
    numbers, weights = [value for value, _ in values], [weight for _, weight in values]
    repeated = sorted(value for value, weight in values for _ in range(weight))
    assert mean(numbers, weights) == pytest.approx(sum(repeated) / len(repeated))
    assert quantile(numbers, weights, share) == quantile(repeated, [1] * len(repeated), share)
    assert sum(value <= quantile(numbers, weights, share) for value in repeated) >= share * len(repeated) - 1e-9
    assert sum(value < quantile(numbers, weights, share) for value in repeated) < share * len(repeated)
