"""The probability that a user looks at a position of a list, relative to the first one: the bias that clicks have.

The position-based model (Craswell et al. 2008; Chuklin et al. 2015, *Click Models for Web Search*, ch. 3): an item is clicked if
it is looked at, which depends on its position alone, and attracts, which depends on item and context alone. Where lists showed
items by exploration, their positions were random, so that the ratio of their click rates is that of the examinations (Joachims et
al. 2017, *Unbiased Learning-to-Rank with Biased Feedback*, sec. 5). Without enough of these, a logistic regression of the clicks
on the features and an intercept for each position separates the two, as far as the same features were at different positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from sklearn.linear_model import LogisticRegression

MAX_POSITION = 20  # the positions from here on count as one
MIN_EXPLORED_CLICKS = 500
PRIOR_IMPRESSIONS = 20.0  # smoothing: each position has so many more impressions, with the mean click rate
MIN_EXAMINATION = 0.1  # clips the weight of a click to 10, which bounds its variance


@dataclass(frozen=True)
class Examination:
    """`by_position[0]` is that of the first position, 1; none is below MIN_EXAMINATION or above 1."""

    by_position: np.ndarray
    source: str

    def at(self, positions: np.ndarray) -> np.ndarray:
        return np.asarray(self.by_position[slot_of(positions)])


def slot_of(positions: np.ndarray) -> np.ndarray:
    """Indexes from 0 of positions from 1.

    >>> slot_of(np.array([1, 2, 900])).tolist()
    [0, 1, 19]
    """
    return np.clip(positions.astype(np.int64), 1, MAX_POSITION) - 1


def estimate(
    columns: sparse.csr_matrix, positions: np.ndarray, clicked: np.ndarray, explored: np.ndarray
) -> Examination:
    """From impressions: their features (`logistic.design`), positions, and whether they were clicked and explored."""
    if clicked[explored].sum() >= MIN_EXPLORED_CLICKS:
        return Examination(_relative(_rates(slot_of(positions[explored]), clicked[explored])), "exploration")
    return Examination(_relative(_intercepts(columns, slot_of(positions), clicked)), "positions")


def _rates(slots: np.ndarray, clicked: np.ndarray) -> np.ndarray:
    """The click rate of each slot; slots that showed nothing have that of the last one that did."""
    shown = np.bincount(slots, minlength=MAX_POSITION).astype(float)
    clicks = np.bincount(slots, weights=clicked, minlength=MAX_POSITION)
    mean = clicked.mean()
    rates = (clicks + PRIOR_IMPRESSIONS * mean) / (shown + PRIOR_IMPRESSIONS)
    return _carried(np.asarray(rates), shown > 0)


def _intercepts(columns: sparse.csr_matrix, slots: np.ndarray, clicked: np.ndarray) -> np.ndarray:
    """The mean click rate of all impressions if each had been at this slot."""
    if clicked.all() or not clicked.any():
        return np.ones(MAX_POSITION)
    one_of_each = sparse.csr_matrix(np.eye(MAX_POSITION))[slots]
    model = LogisticRegression(solver="newton-cholesky").fit(sparse.hstack([columns, one_of_each]).tocsr(), clicked)
    attraction = columns @ model.coef_[0][: columns.shape[1]] + model.intercept_[0]
    rates = [(1 / (1 + np.exp(-attraction - bias))).mean() for bias in model.coef_[0][columns.shape[1] :]]
    return _carried(np.asarray(rates), np.bincount(slots, minlength=MAX_POSITION) > 0)


def _carried(rates: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Unknown rates replaced by the last known one, or the first."""
    indexes = np.flatnonzero(known)
    return np.asarray(rates[indexes[np.clip(np.searchsorted(indexes, np.arange(len(rates)), "right") - 1, 0, None)]])


def _relative(rates: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(rates / rates[0], MIN_EXAMINATION, 1.0))
