"""The draft of two rankings: both teams pick alike, no item comes twice, and the coin is fair."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice, repeat

import pytest

from alsobought.serving.team_draft import coins_of, team_draft

ITEMS = list(range(30))


def test_in_each_round_both_pick_their_best_that_is_left() -> None:
    assert team_draft([["a", "b", "c"], ["b", "d", "a"]], 4, iter([0, 1])) == [(0, 0), (1, 0), (1, 1), (0, 2)]
    assert team_draft([["a", "b"], ["a", "b"]], 2, iter([1])) == [(1, 0), (0, 1)]


def test_it_ends_where_a_team_has_nothing_left() -> None:
    assert team_draft([["a"], ["b", "c", "d"]], 4, repeat(0)) == [(0, 0), (1, 0)]
    assert team_draft([["a"], ["a", "b"]], 4, repeat(1)) == [(1, 0)]
    assert team_draft([[], ["a"]], 4, repeat(0)) == []


@pytest.mark.parametrize("seed", range(50))
def test_no_item_comes_twice_and_no_team_is_two_ahead(seed: int) -> None:
    drawn = random.Random(seed)
    rankings = [drawn.sample(ITEMS, drawn.randint(1, 12)) for _ in range(2)]
    for limit in range(12):
        picks = team_draft(rankings, limit, coins_of(seed))
        items = [rankings[team][index] for team, index in picks]
        sizes = Counter(team for team, _ in picks)
        assert len({*items}) == len(items) <= limit
        assert abs(sizes[0] - sizes[1]) <= 1
        assert picks == team_draft(rankings, 12, coins_of(seed))[: len(picks)], "a longer list begins alike"


def test_coins_are_fair_repeatable_and_independent_of_those_of_other_lists() -> None:
    """Limits: beyond them is a chance of 1 in 10,000, and the names are fixed."""
    tosses = [list(islice(coins_of("e", f"user-{user}", "2026-12-05"), 600)) for user in range(400)]
    assert tosses[7] == list(islice(coins_of("e", "user-7", "2026-12-05"), 600))
    for by_list in (tosses, [list(toss) for toss in zip(*tosses, strict=True)]):
        assert all(abs(sum(toss) / len(toss) - 0.5) < 6 * 0.5 / len(toss) ** 0.5 for toss in by_list)
    both = Counter(zip(tosses[0], tosses[1], strict=True))
    assert (
        sum((both[pair] - 150) ** 2 / 150 for pair in ((0, 0), (0, 1), (1, 0), (1, 1))) < 21.1
    )  # 3 degrees of freedom
    firsts = [next(coins_of("e", "ada", day)) for day in range(400)]
    assert 140 < sum(firsts) < 260
