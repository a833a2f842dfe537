"""A thousand simulated experiments, each looked at every day: how often the intervals are wrong, and what CUPED changes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alsobought.experimentation.confidence import Interval
from alsobought.experimentation.estimates import Adjustment, adjustment, arm_of, lift
from alsobought.experimentation.planning import detectable, error_decay
from alsobought.experimentation.sample_ratio import BROKEN, sample_ratio_p_value
from tests.experimentation.simulated_shops import DAYS, Runs, intervals, order_values, simulated

RUNS = 1000
ALPHA = 0.05
AT_MOST = ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
Z = 1.96


@pytest.fixture(scope="module")
def equal_runs() -> Runs:
    return simulated(RUNS)


@pytest.fixture(scope="module")
def equal(equal_runs: Runs) -> list[list[Interval]]:
    return [intervals(equal_runs, run) for run in range(RUNS)]


def share(sequences: list[list[Interval]], is_wrong: object) -> float:
    """The share of the runs in which this holds on any day."""
    return float(np.mean([any(is_wrong(one) for one in sequence) for sequence in sequences]))  # type: ignore[operator]


def test_looking_every_day_is_wrong_in_at_most_one_of_twenty(equal: list[list[Interval]]) -> None:
    assert 0 < share(equal, lambda one: one.excludes_zero) <= ALPHA


def test_an_ordinary_interval_is_right_on_one_day_and_wrong_if_looked_at_daily(equal: list[list[Interval]]) -> None:
    def wrong(one: Interval) -> bool:
        return abs(one.estimate) > Z * one.error

    assert share([sequence[-1:] for sequence in equal], wrong) <= AT_MOST
    assert share(equal, wrong) > 3 * ALPHA


def test_units_that_all_come_on_the_first_day_and_buy_on_are_no_exception() -> None:
    runs = simulated(RUNS, everybody_at_once=True, seed=8)
    sequences = [intervals(runs, run) for run in range(RUNS)]
    assert share(sequences, lambda one: one.excludes_zero) <= ALPHA


def test_a_true_lift_is_covered_on_all_days_and_found() -> None:
    runs, lift = simulated(300, effect=1.0, seed=9), math.log(2.0)
    sequences = [intervals(runs, run) for run in range(300)]
    assert share(sequences, lambda one: not one.low <= lift <= one.high) <= ALPHA
    assert share(sequences, lambda one: one.excludes_zero) > 0.7


def test_what_is_said_to_be_detectable_is_found_in_four_of_five_and_foreseen(equal: list[list[Interval]]) -> None:
    last = [detectable(sequence[-1], ALPHA) for sequence in equal if sequence]
    lift = float(np.median(last))
    runs = simulated(200, effect=math.expm1(lift), seed=22)
    assert 0.7 < share([intervals(runs, run)[-1:] for run in range(200)], lambda one: one.low > 0) < 0.95
    halves = [[one for one in sequence if one.days <= DAYS / 2] for sequence in equal]
    foreseen = [detectable(half[-1], ALPHA, DAYS, error_decay(half)) for half in halves if len(half) > 2]
    assert np.median(foreseen) == pytest.approx(lift, rel=0.25)


def test_cuped_leaves_the_estimate_unbiased_and_takes_variance_away(
    equal_runs: Runs, equal: list[list[Interval]]
) -> None:
    plain = [intervals(equal_runs, run, adjusted=False)[-1] for run in range(RUNS)]
    adjusted = [sequence[-1] for sequence in equal]
    estimates = np.array([one.estimate for one in adjusted])
    assert abs(estimates.mean()) < 3 * estimates.std() / math.sqrt(RUNS)
    assert estimates.std() < 0.95 * np.std([one.estimate for one in plain])
    errors = np.array([one.error for one in adjusted])
    assert np.mean(errors) == pytest.approx(estimates.std(), rel=0.1)  # the reported error is the true one


def test_cuped_narrows_the_interval_of_a_ratio_and_errs_no_more() -> None:
    plain, adjusted = list[tuple[float, float]](), list[tuple[float, float]]()
    for control, variant in order_values(RUNS):
        for chosen, results in ((Adjustment(), plain), (adjustment([control, variant]), adjusted)):
            found = lift(arm_of(variant, chosen), arm_of(control, chosen))
            assert found
            results.append((found.log_ratio, found.error))
    (_, plain_errors), (estimates, errors) = np.array(plain).T, np.array(adjusted).T
    assert abs(estimates.mean()) < 3 * estimates.std() / math.sqrt(RUNS)
    assert errors.mean() < 0.8 * plain_errors.mean()
    assert errors.mean() == pytest.approx(estimates.std(), rel=0.1)
    assert ALPHA / 2 < np.mean(np.abs(estimates) > Z * errors) <= AT_MOST


def test_a_healthy_split_is_hardly_ever_called_broken_and_a_broken_one_soon() -> None:
    random = np.random.default_rng(10)
    for right, low, high in ((0.5, 0.0, 3 * BROKEN), (0.46, 0.95, 1.0)):
        ours = random.binomial(400, right, (RUNS, DAYS)).cumsum(axis=1)
        totals = 400 * np.arange(1, DAYS + 1)
        broken = [
            sample_ratio_p_value(zip(row, totals - row, strict=True), [0.5, 0.5]) < BROKEN for row in ours.astype(float)
        ]
        assert low <= np.mean(broken) <= high
