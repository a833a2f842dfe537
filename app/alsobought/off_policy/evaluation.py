"""All estimates of one log, with what a reader needs to trust them or not. The fields are JSON."""

from __future__ import annotations

import msgspec
import numpy as np

from alsobought.off_policy.estimators import (
    MAX_WEIGHT,
    NOTHING,
    Clusters,
    Log,
    Ratio,
    doubly_robust,
    effective_size,
    ips,
    logged,
    snips,
    weights,
)
from alsobought.off_policy.reward_model import expected_rewards

MIN_EFFECTIVE = 100.0  # impressions; a normal interval of fewer is not worth its name
MIN_SUPPORTED = 0.5


class Estimate(msgspec.Struct, frozen=True):
    """A rate, or a difference of two, with its 95 % interval."""

    value: float
    low: float
    high: float


class Estimates(msgspec.Struct, frozen=True):
    """Of one metric. `change` is DR minus the logged rate, on the same impressions."""

    logged: Estimate
    ips: Estimate
    snips: Estimate
    dr: Estimate
    change: Estimate


class Evaluation(msgspec.Struct, frozen=True):
    """`impressions` are those at whose position the new lists have an item. `supported` is the estimated share of them whose item
    the log could have shown there; `effective` the impressions that the estimates rest on; `clipped` those whose weight was cut
    to `max_weight`.
    """

    impressions: int
    users: int
    effective: float
    supported: float
    clipped: int
    max_weight: float
    metrics: dict[str, Estimates]

    @property
    def is_sound(self) -> bool:
        return self.effective >= MIN_EFFECTIVE and self.supported >= MIN_SUPPORTED


def evaluate(log: Log, rewards: dict[str, np.ndarray]) -> Evaluation:
    """The estimates for each metric, whose rewards replace those of the log. Rows without a new item are left out."""
    rows = log.filled()
    full, weight = weights(rows), weights(rows, MAX_WEIGHT)
    earned = {name: values[log.new_items != NOTHING] for name, values in rewards.items()}
    return Evaluation(
        impressions=len(rows.items),
        users=len(np.unique(rows.users)),
        effective=effective_size(weight),
        supported=min(1.0, float(full.mean())) if len(full) else 0.0,
        clipped=int((full > MAX_WEIGHT).sum()),
        max_weight=MAX_WEIGHT,
        metrics={name: _estimates(_rewarded(rows, values), weight) for name, values in earned.items()},
    )


def difference(one: Log, other: Log, rewards: np.ndarray) -> Estimate:
    """DR of the other's new lists minus DR of the one's, on the impressions at whose positions both have an item."""
    rows = (one.new_items != NOTHING) & (other.new_items != NOTHING)
    first, second = (_rewarded(log.part(rows), rewards[rows]) for log in (one, other))
    change = doubly_robust_of(second, weights(second, MAX_WEIGHT)) - doubly_robust_of(first, weights(first, MAX_WEIGHT))
    return Estimate(change.value, *change.interval(Clusters.of(first)))


def doubly_robust_of(log: Log, weight: np.ndarray) -> Ratio:
    return doubly_robust(weight, log.rewards, *expected_rewards(log))


def _estimates(log: Log, weight: np.ndarray) -> Estimates:
    clusters = Clusters.of(log)
    observed, robust = logged(log.rewards), doubly_robust_of(log, weight)

    def rate(ratio: Ratio) -> Estimate:
        low, high = ratio.interval(clusters)
        return Estimate(ratio.value, max(0.0, low), min(1.0, high))

    def weighted(ratio: Ratio) -> Estimate:
        return rate(ratio) if weight.any() else Estimate(0.0, 0.0, 1.0)  # without a weight, nothing is known

    change = robust - observed
    return Estimates(
        logged=rate(observed),
        ips=weighted(ips(weight, log.rewards)),
        snips=weighted(snips(weight, log.rewards)),
        dr=rate(robust),
        change=Estimate(change.value, *change.interval(clusters)),
    )


def _rewarded(log: Log, rewards: np.ndarray) -> Log:
    return Log(**{**vars(log), "rewards": rewards})
