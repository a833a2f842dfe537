"""Purchases as sparse matrices. `alsobought[baselines]` brings scipy; what only counts does without."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from alsobought.evaluation.baselines.scores import Floats
from alsobought.evaluation.log import Integers, Purchases

Matrix = Any  # a scipy.sparse.csr_matrix; scipy says nothing about its types


def matrix(rows: Integers, columns: Integers, values: Floats, shape: tuple[int, int]) -> Matrix:
    """Equal places are added up."""
    return sparse.csr_matrix((values, (rows, columns)), shape=shape)


def of_users(past: Purchases, values: Floats) -> Matrix:
    """users x items of these values, one for each of `past.lines`."""
    return matrix(past.lines.user, past.lines.item, values, (len(past.names.users), len(past.names.items)))


def of_baskets(past: Purchases, values: Floats | None = None) -> Matrix:
    """baskets x items, 1 in each place or these values."""
    lines = past.lines
    given = np.ones(len(lines)) if values is None else values
    return matrix(lines.basket, lines.item, given, (len(past.names.baskets), len(past.names.items)))


def shares(scores: Matrix) -> Matrix:
    """Rows that sum to one."""
    return sparse.diags(1 / np.maximum(np.asarray(scores.sum(axis=1)).ravel(), 1e-12)) @ scores


def unit(scores: Matrix) -> Matrix:
    """Rows of length one."""
    lengths = np.sqrt(np.asarray(scores.multiply(scores).sum(axis=1)).ravel())
    return sparse.diags(1 / np.maximum(lengths, 1e-12)) @ scores


def with_stranger(scores: Matrix) -> Matrix:
    """One more row, of nothing."""
    return sparse.vstack([scores, sparse.csr_matrix((1, scores.shape[1]))], format="csr")
