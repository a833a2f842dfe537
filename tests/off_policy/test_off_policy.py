"""Off-policy estimates against obp, and against logs whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from alsobought.off_policy.estimators import (
    MAX_WEIGHT,
    NOTHING,
    Clusters,
    Log,
    doubly_robust,
    ips,
    snips,
    weights,
)
from alsobought.off_policy.evaluation import evaluate
from tests.off_policy.logged_lists import Logged, logged_lists

OBP = json.loads((Path(__file__).parent / "obp.json").read_text())


def log_of(logged: Logged) -> Log:
    return Log(**{name: values for name, values in vars(logged).items() if name != "truth"})


def changed(log: Log, **columns: np.ndarray) -> Log:
    return Log(**{**vars(log), **columns})


def test_estimates_are_those_of_obp() -> None:
    log = log_of(logged_lists(OBP["seed"]))
    weight, model = weights(log), np.array(OBP["model"])
    shown, new = (model[items, log.positions - 1] for items in (log.items, log.new_items))
    assert ips(weight, log.rewards).value == pytest.approx(OBP["ips"], abs=1e-6)
    assert snips(weight, log.rewards).value == pytest.approx(OBP["snips"], abs=1e-6)
    assert doubly_robust(weight, log.rewards, shown, new).value == pytest.approx(OBP["dr"], abs=1e-6)


@pytest.mark.parametrize("shared_draws", [False, True])
def test_intervals_hold_the_truth_about_as_often_as_they_should(shared_draws: bool) -> None:
    """Of 150 intervals of 95 %, fewer than 133 hold it with a probability below 0.1 %. With 12 draws they hold it a bit less."""
    held = dict.fromkeys(("ips", "snips", "dr"), 0)
    for seed in range(150):
        logged = logged_lists(1000 + seed, users=200, shared_draws=shared_draws)
        log = log_of(logged)
        found = evaluate(log, {"clicks": log.rewards}).metrics["clicks"]
        for name in held:
            held[name] += getattr(found, name).low <= logged.truth <= getattr(found, name).high
    least = 125 if shared_draws else 133
    assert all(least <= times for times in held.values()), held


def test_draws_that_users_share_widen_the_interval() -> None:
    log = log_of(logged_lists(3, shared_draws=True))
    ratio = ips(weights(log), log.rewards)
    of_both = Clusters.of(log).reach(ratio.influence)
    of_users = Clusters.of(changed(log, draws=np.arange(len(log.draws)))).reach(ratio.influence)
    assert of_both > 2 * of_users


def test_choices_without_a_chance_are_no_support() -> None:
    log = log_of(logged_lists(3))
    nowhere = changed(log, new_items=np.where(log.positions > 2, 11, log.new_items))
    found = evaluate(changed(nowhere, items=np.where(log.items == 11, 0, log.items)), {"clicks": log.rewards})
    assert found.supported == pytest.approx(0.5, abs=0.05)
    assert found.effective < evaluate(log, {"clicks": log.rewards}).effective


def test_positions_that_the_new_list_leaves_empty_are_no_impressions() -> None:
    log = log_of(logged_lists(3))
    shorter = changed(log, new_items=np.where(log.positions > 2, NOTHING, log.new_items))
    found = evaluate(shorter, {"clicks": log.rewards})
    assert found == evaluate(log.part(log.positions <= 2), {"clicks": log.rewards[log.positions <= 2]})
    assert found.impressions == len(log.items) / 2


def test_large_weights_are_clipped_and_counted() -> None:
    log = log_of(logged_lists(3))
    rare = changed(log, propensities=np.where(log.positions == 1, 1e-4, log.propensities))
    found = evaluate(rare, {"clicks": log.rewards})
    assert found.clipped == ((log.positions == 1) & (log.items == log.new_items)).sum() > 0
    assert weights(rare, MAX_WEIGHT).max() == MAX_WEIGHT


def test_an_empty_or_tiny_log_has_no_certainty() -> None:
    log = log_of(logged_lists(3))
    for rows in (0, 1):
        found = evaluate(log.part(np.arange(len(log.items)) < rows), {"clicks": log.rewards[:rows]})
        assert (found.impressions, found.is_sound) == (rows, False)
        assert (found.metrics["clicks"].dr.low, found.metrics["clicks"].dr.high) == (0, 1)
