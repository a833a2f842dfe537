"""Logistic regression with readable weights: each feature has a slope, and a weight for each of its buckets.

An example occurred `asked` times and was bought `bought` times, so it is a positive example with the weight `bought`
and a negative one with the rest. The first feature with its slope alone is the formula that the model is compared with.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

OUTER_BOUND = 1e300  # of the outer buckets: JSON has no infinity
Columns = Mapping[str, np.ndarray]


def bucket_bounds(values: np.ndarray, weights: np.ndarray, buckets: int) -> np.ndarray:
    """The upper bounds of all buckets but the last, for buckets of equal weight; fewer where values repeat."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order])
    bounds = values[order][np.searchsorted(sums, sums[-1] * np.arange(1, buckets) / buckets)]
    return np.asarray([bound for bound in np.unique(bounds) if bound < values.max()])


def fit_weights(examples: Columns, features: Sequence[str], buckets: int, l2: float) -> Iterator[dict[str, Any]]:
    """Yields rows of ranker_weights; bucket 0 of a feature is its slope."""
    bounds = _all_bounds(examples, features, buckets)
    model = _fit(examples, bounds, l2)
    yield from weight_rows(bounds, model.coef_[0], examples)


def weight_rows(bounds: Mapping[str, np.ndarray], weights: np.ndarray, examples: Columns) -> Iterator[dict[str, Any]]:
    """Rows of ranker_weights for the columns of `design`, with the numbers of examples behind each."""
    slopes, of_buckets = weights[: len(bounds)], iter(weights[len(bounds) :])
    for place, (name, slope) in enumerate(zip(bounds, slopes.tolist(), strict=True), start=1):
        limits = [-OUTER_BOUND, *bounds[name].tolist(), OUTER_BOUND]
        bucket_of = np.searchsorted(bounds[name], examples[name])
        yield _row(name, place, 0, -OUTER_BOUND, OUTER_BOUND, slope, examples, np.ones(len(bucket_of), bool))
        for bucket, (above, up_to) in enumerate(itertools.pairwise(limits), start=1):
            weight = float(next(of_buckets))
            yield _row(name, place, bucket, above, up_to, weight, examples, bucket_of == bucket - 1)


def evaluate_model(
    examples: Columns, features: Sequence[str], buckets: int, l2: float, held_out: np.ndarray
) -> dict[str, float]:
    """AUC and log loss on the held-out examples, of a model fitted on the others, and of the formula."""
    training = {name: values[~held_out] for name, values in examples.items()}
    test = {name: values[held_out] for name, values in examples.items()}
    measures = {}
    for suffix, names in (("", features), ("_of_formula", features[:1])):
        bounds = _all_bounds(training, names, buckets) if not suffix else {names[0]: np.array([])}
        model = _fit(training, bounds, l2)
        probability = model.predict_proba(design(test, bounds))[:, 1]
        labels, scores = np.repeat([1, 0], len(probability)), np.concatenate([probability, probability])
        weights = np.concatenate(_label_weights(test))
        used = weights > 0
        measures["auc" + suffix] = float(roc_auc_score(labels[used], scores[used], sample_weight=weights[used]))
        measures["log_loss" + suffix] = float(log_loss(labels[used], scores[used], sample_weight=weights[used]))
    return measures


def _row(
    name: str, place: int, bucket: int, above: float, up_to: float, weight: float, examples: Columns, inside: np.ndarray
) -> dict[str, Any]:
    return {
        "feature": name,
        "place": place,
        "bucket": bucket,
        "above": above,
        "up_to": up_to,
        "weight": round(weight, 9),
        "pairs": int(inside.sum()),
        "asked": round(float(examples["asked"][inside].sum()), 6),
        "bought": round(float(examples["bought"][inside].sum()), 6),
    }


def _all_bounds(examples: Columns, features: Sequence[str], buckets: int) -> dict[str, np.ndarray]:
    """Buckets of equal expected purchases: most candidates are never bought, and would fill all buckets."""
    expected = examples["asked"] * np.exp(np.minimum(examples[features[0]], 0))
    return {name: bucket_bounds(examples[name], expected, buckets) for name in features}


def _label_weights(examples: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the positive and of the negative label; their sum is the number of examples."""
    bought = np.minimum(examples["bought"], examples["asked"])
    scale = len(bought) / examples["asked"].sum()
    return bought * scale, (examples["asked"] - bought) * scale


def design(examples: Columns, bounds: Mapping[str, np.ndarray]) -> sparse.csr_matrix:
    """The features that `bounds` names, then a 0/1 column for each bucket."""
    features = list(bounds)
    values = sparse.csr_matrix(np.stack([examples[name] for name in features], axis=1))
    bucket_columns, width = [], 0
    for name in features:
        bucket_columns.append(np.searchsorted(bounds[name], examples[name]) + width)
        width += len(bounds[name]) + 1
    columns = np.stack(bucket_columns, axis=1).ravel()
    starts = np.arange(len(values.indptr)) * len(features)
    buckets = sparse.csr_matrix((np.ones(len(columns)), columns, starts), shape=(values.shape[0], width))
    return sparse.hstack([values, buckets]).tocsr()


def _fit(examples: Columns, bounds: Mapping[str, np.ndarray], l2: float) -> LogisticRegression:
    columns, (positive, negative) = design(examples, bounds), _label_weights(examples)
    bought = np.flatnonzero(positive)
    both = sparse.vstack([columns, columns[bought]]).tocsr()
    labels = np.concatenate([np.zeros(columns.shape[0]), np.ones(len(bought))])
    # Not L-BFGS: most weights are tiny here, so it stops early and ranks no better than the formula.
    model = LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-6)
    return model.fit(both, labels, sample_weight=np.concatenate([negative, positive[bought]]))
