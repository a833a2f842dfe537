"""Logistic regression whose weights can be read: each feature has a slope and, on top, a weight for each of its buckets.

An example is a pair of items that was asked about `asked` times, a fraction `bought / asked` of them well: it counts as so much of
a yes and so much of a no. The first feature alone, by its slope, is the formula that the rest is measured against.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

END = 1e300  # above and below of the outer buckets: JSON knows no infinity
Columns = Mapping[str, np.ndarray]


def edges(values: np.ndarray, weights: np.ndarray, buckets: int) -> np.ndarray:
    """The upper ends of all buckets but the last, so that each holds about as much weight; fewer where values repeat."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order])
    ends = values[order][np.searchsorted(sums, sums[-1] * np.arange(1, buckets) / buckets)]
    return np.asarray([end for end in np.unique(ends) if end < values.max()])


def fitted(read: Columns, features: Sequence[str], buckets: int, l2: float) -> Iterator[dict[str, Any]]:
    """Rows of ranker_weights; bucket 0 of a feature is its slope."""
    ends = _all_edges(read, features, buckets)
    model = _fit(read, features, ends, l2)
    slopes, weights = model.coef_[0][: len(features)], iter(model.coef_[0][len(features) :])
    for place, (name, slope) in enumerate(zip(features, slopes.tolist(), strict=True), start=1):
        numbers = [-END, *ends[name].tolist(), END]
        bucket_of = np.searchsorted(ends[name], read[name])
        yield _row(name, place, 0, -END, END, slope, read, np.ones(len(bucket_of), bool))
        for bucket, (above, up_to) in enumerate(itertools.pairwise(numbers), start=1):
            yield _row(name, place, bucket, above, up_to, float(next(weights)), read, bucket_of == bucket - 1)


def judged(read: Columns, features: Sequence[str], buckets: int, l2: float, held: np.ndarray) -> dict[str, float]:
    """AUC and log loss on the examples that are held out, of a model learnt of the others, and of the formula alone."""
    learnt_of = {name: values[~held] for name, values in read.items()}
    unseen = {name: values[held] for name, values in read.items()}
    found = {}
    for title, names in (("", features), ("_of_formula", features[:1])):
        ends = _all_edges(learnt_of, names, buckets) if not title else {names[0]: np.array([])}
        model = _fit(learnt_of, names, ends, l2)
        chance = model.predict_proba(_design(unseen, names, ends))[:, 1]
        yes, no = _fractions(unseen)
        answers, scores = np.repeat([1, 0], len(chance)), np.concatenate([chance, chance])
        weights = np.concatenate([yes, no])
        counts = weights > 0
        found["auc" + title] = float(roc_auc_score(answers[counts], scores[counts], sample_weight=weights[counts]))
        found["log_loss" + title] = float(log_loss(answers[counts], scores[counts], sample_weight=weights[counts]))
    return found


def _row(
    name: str, place: int, bucket: int, above: float, up_to: float, weight: float, read: Columns, inside: np.ndarray
) -> dict[str, Any]:
    return {
        "feature": name,
        "place": place,
        "bucket": bucket,
        "above": above,
        "up_to": up_to,
        "weight": round(weight, 9),
        "pairs": int(inside.sum()),
        "asked": round(float(read["asked"][inside].sum()), 6),
        "bought": round(float(read["bought"][inside].sum()), 6),
    }


def _all_edges(read: Columns, features: Sequence[str], buckets: int) -> dict[str, np.ndarray]:
    """By weight of what is expected to be bought: most candidates never are, and would take all buckets."""
    expected = read["asked"] * np.exp(np.minimum(read[features[0]], 0))
    return {name: edges(read[name], expected, buckets) for name in features}


def _fractions(read: Columns) -> tuple[np.ndarray, np.ndarray]:
    yes = np.minimum(read["bought"], read["asked"])
    scale = len(yes) / read["asked"].sum()
    return yes * scale, (read["asked"] - yes) * scale


def _design(read: Columns, features: Sequence[str], ends: Mapping[str, np.ndarray]) -> sparse.csr_matrix:
    """Features as they are, then a column for each bucket."""
    values = sparse.csr_matrix(np.stack([read[name] for name in features], axis=1))
    places, width = [], 0
    for name in features:
        places.append(np.searchsorted(ends[name], read[name]) + width)
        width += len(ends[name]) + 1
    columns = np.stack(places, axis=1).ravel()
    starts = np.arange(len(values.indptr)) * len(features)
    buckets = sparse.csr_matrix((np.ones(len(columns)), columns, starts), shape=(values.shape[0], width))
    return sparse.hstack([values, buckets]).tocsr()


def _fit(read: Columns, features: Sequence[str], ends: Mapping[str, np.ndarray], l2: float) -> LogisticRegression:
    design, (yes, no) = _design(read, features, ends), _fractions(read)
    bought = np.flatnonzero(yes)
    both = sparse.vstack([design, design[bought]]).tocsr()
    answers = np.concatenate([np.zeros(design.shape[0]), np.ones(len(bought))])
    # Newton's method: L-BFGS stops early here, where most examples weigh next to nothing, and ranks no better than the formula.
    model = LogisticRegression(C=1 / l2, solver="newton-cholesky", tol=1e-6)
    return model.fit(both, answers, sample_weight=np.concatenate([no, yes[bought]]))
