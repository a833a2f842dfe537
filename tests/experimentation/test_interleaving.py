"""Experiments that interleave: a thousand simulated ones without a preference, the fairness of the draft, and the sentences."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray

from alsobought.experimentation.confidence import Interval
from alsobought.experimentation.preference import preference_report, preference_sequence
from alsobought.experimentation.report import Report
from alsobought.experimentation.votes import DailyVotes, Votes
from alsobought.experimentation.words import advice, as_markdown, headline
from alsobought.serving.team_draft import coins_of, team_draft
from alsobought.surfaces.experiment import Experiment, Variant

RUNS, DAYS, UNITS, ALPHA = 1000, 14, 150, 0.05
Floats = NDArray[np.float64]


def simulated(runs: int, taste: float = 0.5, seed: int = 7) -> list[list[Interval]]:
    """Looks at every day. Units come over the days, differ in how often they vote, and each has a taste of its own."""
    drawn = np.random.default_rng(seed)
    own_taste = drawn.beta(4 * taste, 4 * (1 - taste), (runs, UNITS, 1))
    entered = drawn.integers(0, DAYS, (runs, UNITS, 1))
    rate = drawn.standard_gamma(1.0, (runs, UNITS, 1)) * 0.5 * (np.arange(DAYS) >= entered)
    second, first = (drawn.poisson(rate * share).cumsum(axis=2).astype(float) for share in (own_taste, 1 - own_taste))
    y, z = second - first, second + first
    units, total, squares, decided = ((z > 0).sum(axis=1), y.sum(axis=1), (y * y).sum(axis=1), z.sum(axis=1))
    return [
        preference_sequence(
            [
                (day + 1, Votes(units=units[run, day], y=total[run, day], yy=squares[run, day], z=decided[run, day]))
                for day in range(DAYS)
            ]
        )
        for run in range(runs)
    ]


def share(sequences: list[list[Interval]], is_wrong: object) -> float:
    return float(np.mean([any(is_wrong(one) for one in sequence) for sequence in sequences]))  # type: ignore[operator]


def test_without_a_preference_looking_every_day_is_wrong_in_at_most_one_of_twenty() -> None:
    sequences = simulated(RUNS)
    assert 0 < share(sequences, lambda one: one.excludes_zero) <= ALPHA
    daily = share(sequences, lambda one: abs(one.estimate) > 1.96 * one.error)
    assert daily > 2 * ALPHA, "an ordinary interval would be"
    estimates = np.array([sequence[-1].estimate for sequence in sequences])
    assert np.mean([sequence[-1].error for sequence in sequences]) == pytest.approx(estimates.std(), rel=0.1)


def test_a_preference_is_covered_on_all_days_and_found() -> None:
    sequences = simulated(200, taste=0.7, seed=8)
    assert share(sequences, lambda one: not one.low <= 0.4 <= one.high) <= ALPHA
    assert share(sequences, lambda one: one.low > 0) > 0.8


def test_equal_rankings_win_equally_often_although_the_top_is_clicked_most() -> None:
    """The limit is 4 standard errors; who picks first wins far more often than half."""
    drawn, votes, first_votes = random.Random(5), list[int](), list[int]()
    for number in range(4000):
        rankings = [drawn.sample(range(12), 8) for _ in range(2)]
        picks = team_draft(rankings, 6, coins_of("e", number))
        clicked = [team for place, (team, _) in enumerate(picks) if drawn.random() < 0.5 / (place + 1)]
        margin = 2 * sum(clicked) - len(clicked)
        votes.append((margin > 0) - (margin < 0))
        first_votes.append(votes[-1] * (1 if picks[0][0] else -1))
    limit = 4 * sum(map(abs, votes)) ** 0.5
    assert abs(sum(votes)) < limit
    assert sum(first_votes) > 2 * limit


BEGIN = date(2026, 12, 1)
NOW = datetime(2026, 12, 10, 12, tzinfo=UTC)


def report(
    first: float, second: float, *, until: date = date(2026, 12, 28), unrecorded: float = 0, units: float = 20
) -> Report:
    """So many lists are won every day, by new units."""
    what = Experiment(
        "turns", "cart", (Variant("control", 5000), Variant("ranked", 5000)),
        metric="clicks", since=BEGIN, until=until, interleave=True,
    )  # fmt: skip
    votes = [
        Votes(80 * day, 3, unrecorded * day, (first + second + 5) * day, units * day,
              (second - first) * day, (first + second) * day, (first + second) * day)
        for day in range(1, 11)
    ]  # fmt: skip
    return preference_report(
        what, DailyVotes(BEGIN, tuple(BEGIN + timedelta(days=n) for n in range(10)), tuple(votes)), NOW
    )


def test_the_report_says_who_wins_and_what_to_do() -> None:
    wins = report(14, 26)
    assert headline(wins) == "ranked wins: users prefer it to control. It won 65 % of the decided lists (57 % to 73 %)."
    assert "not what it earns" in advice(wins)
    text = as_markdown(wins)
    assert "* **won**: ranked 260, control 140, by 200 users; 50 were even, and count for neither" in text
    assert "* **one variant**: 3 lists" in text
    assert "|" not in text
    assert headline(report(26, 14)).startswith("ranked loses: users prefer control. ranked won 35 %")
    assert headline(report(2000, 2000, units=4000)).startswith("Users prefer neither: ranked won 50 %")
    assert headline(report(10, 11)).startswith("ranked: keep running, about ")
    assert "undecided" in headline(report(10, 11, until=date(2026, 12, 9)))
    assert headline(report(1, 1, units=2)).startswith("Too little is known yet: 50 users")
    assert "ALSOBOUGHT_RECORD_REQUESTS" in headline(report(0, 0, unrecorded=80, units=0))
    assert headline(
        preference_report(Experiment("t", "cart", (Variant("a", 1), Variant("b", 1))), DailyVotes(BEGIN), NOW)
    ) == ("Nobody has seen a list of this experiment yet.")
