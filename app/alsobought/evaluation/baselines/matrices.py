"""Interactions as sparse matrices. Needs scipy, from `alsobought[baselines]`; baselines that only count do not import it."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from alsobought.evaluation.baselines.scores import Floats
from alsobought.evaluation.log import Integers, Interactions
from alsobought.evaluation.tasks import ALSO_SEEN

Matrix = Any  # scipy.sparse.csr_matrix, which has no types


def matrix(rows: Integers, columns: Integers, values: Floats, shape: tuple[int, int]) -> Matrix:
    """Values of the same cell are added."""
    return sparse.csr_matrix((values, (rows, columns)), shape=shape)


def of_users(past: Interactions, values: Floats) -> Matrix:
    """users x items of these values, one for each of `past.lines`."""
    return matrix(past.lines.user, past.lines.item, values, (len(past.names.users), len(past.names.items)))


def of_baskets(past: Interactions, values: Floats | None = None) -> Matrix:
    """baskets x items, with 1 or these values."""
    lines = past.lines
    cells = np.ones(len(lines)) if values is None else values
    return matrix(lines.basket, lines.item, cells, (len(past.names.baskets), len(past.names.items)))


def of_groups(past: Interactions, task: str) -> Matrix:
    """The groups of items that belong together in a task, x items: users for also-seen, else baskets; 1 for each item."""
    if task != ALSO_SEEN:
        return of_baskets(past)
    users = of_users(past, np.ones(len(past.lines)))
    users.data[:] = 1
    return users


def shares(scores: Matrix) -> Matrix:
    """Rows with a sum of 1."""
    return sparse.diags(1 / np.maximum(np.asarray(scores.sum(axis=1)).ravel(), 1e-12)) @ scores


def unit(scores: Matrix) -> Matrix:
    """Rows of length 1."""
    lengths = np.sqrt(np.asarray(scores.multiply(scores).sum(axis=1)).ravel())
    return sparse.diags(1 / np.maximum(lengths, 1e-12)) @ scores


def with_unknown_row(scores: Matrix) -> Matrix:
    """Appends an empty row, for users and items that the past does not contain."""
    return sparse.vstack([scores, sparse.csr_matrix((1, scores.shape[1]))], format="csr")
