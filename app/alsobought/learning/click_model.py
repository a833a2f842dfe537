"""Weights of the ranker from clicks: refitted from the weights in service, and compared with them.

A click at a position that is looked at with the probability e counts 1/e (inverse propensity, Joachims et al. 2017), as a label
of the log loss, whose expectation is then that of the attraction itself (Saito et al. 2020, *Unbiased Recommender Learning from
Missing-Not-At-Random Implicit Feedback*). With such labels, some above 1, the loss stays convex. The weights in service are the
mean of a Gaussian prior, so that a refit moves only what the impressions speak for (Chapelle and Li 2011, *An Empirical Evaluation
of Thompson Sampling*, algorithm 3, with one precision, l2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, sparse

from alsobought.learning.logistic import Columns, bucket_bounds, design, weight_rows


@dataclass(frozen=True)
class Weights:
    """The bounds of the buckets of each feature, in order, and a weight for each column of `design`."""

    bounds: Mapping[str, np.ndarray]
    values: np.ndarray

    def columns(self, examples: Columns) -> sparse.csr_matrix:
        return design(examples, self.bounds)

    def rows(self, examples: Columns, labels: np.ndarray) -> Iterator[dict[str, Any]]:
        """Rows of ranker_weights, with the numbers of impressions and of corrected clicks as `asked` and `bought`."""
        counts = {"asked": np.ones(len(labels)), "bought": labels}
        return weight_rows(self.bounds, self.values, {**examples, **counts})


def weights_of_rows(rows: Sequence[Mapping[str, Any]]) -> Weights:
    """The weights of one model from its rows of ranker_weights, in the order of place and bucket."""
    slopes = {row["feature"]: row["weight"] for row in rows if row["bucket"] == 0}
    buckets = [row for row in rows if row["bucket"]]
    bounds = {name: [row["up_to"] for row in buckets if row["feature"] == name][:-1] for name in slopes}
    return Weights(
        {name: np.asarray(of_feature, float) for name, of_feature in bounds.items()},
        np.asarray([*slopes.values(), *(row["weight"] for row in buckets)], float),
    )


def formula(examples: Columns, features: Sequence[str], buckets: int) -> Weights:
    """What serves without learned weights: the first feature alone. The buckets have equally many of the examples."""
    size = np.ones(len(examples[features[0]]))
    bounds = {name: bucket_bounds(examples[name], size, buckets) for name in features}
    values = np.zeros(len(features) + sum(len(of_feature) + 1 for of_feature in bounds.values()))
    values[0] = 1.0
    return Weights(bounds, values)


def refit(prior: Weights, columns: sparse.csr_matrix, labels: np.ndarray, l2: float) -> Weights:
    """The weights that minimise the log loss plus l2/2 times their squared distance from `prior`. The intercept is free."""
    whole = sparse.hstack([sparse.csr_matrix(np.ones((columns.shape[0], 1))), columns]).tocsr()
    pull = np.concatenate([[0.0], np.full(columns.shape[1], l2)])
    centre = np.concatenate([[0.0], prior.values])
    start = centre.copy()
    start[0] = _logit(labels.mean()) - float((columns @ prior.values).mean())
    return Weights(prior.bounds, _minimise(whole, labels, start, centre, pull)[1:])


def calibrated_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """The mean log loss of scores after Platt scaling, with a slope of at least 0.

    Scores are log odds without an intercept, on a scale of their own: this compares how they rank, not their units.
    """
    scaled = (scores - scores.mean()) / (float(scores.std()) or 1.0)
    columns = sparse.csr_matrix(np.stack([np.ones(len(scaled)), scaled], axis=1))
    level = np.asarray([_logit(labels.mean()), 0.0])
    line = _minimise(columns, labels, level, level * 0, np.full(2, 1e-6))
    return _loss(columns @ (line if line[1] >= 0 else level), labels) / len(labels)


def _minimise(
    columns: sparse.csr_matrix, labels: np.ndarray, start: np.ndarray, centre: np.ndarray, pull: np.ndarray
) -> np.ndarray:
    """Newton's method in a trust region: the loss is convex, and most columns are 0/1."""
    transposed = columns.T.tocsr()

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        logits, off = columns @ weights, weights - centre
        gradient = transposed @ (_sigmoid(logits) - labels) + pull * off
        return _loss(logits, labels) + float(pull @ off**2) / 2, gradient

    def hessian(weights: np.ndarray) -> np.ndarray:
        chance = _sigmoid(columns @ weights)
        return np.asarray((transposed.multiply(chance * (1 - chance)) @ columns).todense()) + np.diag(pull)

    options = {"gtol": 1e-5 * max(1.0, float(labels.sum()) ** 0.5), "maxiter": 200}
    return np.asarray(optimize.minimize(loss, start, jac=True, hess=hessian, method="trust-exact", options=options).x)


def _loss(logits: np.ndarray, labels: np.ndarray) -> float:
    return float((np.logaddexp(0, logits) - labels * logits).sum())


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -50, 50))))


def _logit(rate: float) -> float:
    rate = min(max(float(rate), 1e-6), 1 - 1e-6)
    return float(np.log(rate / (1 - rate)))
