"""Candidates of a re-ranker: the 200 best items of a query by a formula, with their features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from alsobought.evaluation.baselines.ease import Ease
from alsobought.evaluation.baselines.matrices import Matrix
from alsobought.evaluation.baselines.scores import Floats
from alsobought.evaluation.log import Integers, Names
from alsobought.evaluation.tasks import Query

CANDIDATES = 200


class Candidates(Protocol):
    """`of` returns candidates (queries x 200), the best first, and their features (queries x 200 x features).

    The first feature is the score of the formula, -inf for what must not be in the list.
    """

    names: Names

    def of(self, queries: Sequence[Query]) -> tuple[Integers, Floats]: ...


def highest(scores: Floats) -> Integers:
    """The indexes of the 200 highest scores of each row, the highest first."""
    count = min(CANDIDATES, scores.shape[1])
    candidates = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, candidates, axis=1), axis=1, kind="stable")
    return np.take_along_axis(candidates, order, axis=1)


def picker(candidates: Integers) -> Callable[[Any], Floats]:
    """A function that selects the values of these candidates from a row per query."""
    return lambda values: np.take_along_axis(np.asarray(values), candidates, axis=1)


def cells(values: Matrix, rows: Integers, candidates: Integers) -> Floats:
    """The values of these candidates in a row of a sparse matrix for each query."""
    repeated = np.repeat(rows, candidates.shape[1])
    return np.asarray(values[repeated, candidates.ravel()], dtype=np.float64).reshape(candidates.shape)


def of_ease(model: Ease, queries: Sequence[Query], candidates: Integers) -> Floats:
    """The scores of EASE for these candidates, 0 for an item that it does not know."""
    known = np.full(len(model.past.names.items), -1)
    known[model.columns] = np.arange(len(model.columns))
    columns = known[candidates]
    scores = np.take_along_axis(model.known_scores(queries), np.maximum(columns, 0), axis=1)
    return np.where(columns >= 0, scores, 0.0)


def broadcast(values: Floats, candidates: Integers) -> Floats:
    """One number of each query, for all its candidates."""
    return np.broadcast_to(values[:, None], candidates.shape)


def signed_root(both: Floats, one: Floats, other: Floats, total: int) -> Floats:
    """The signed root of the log-likelihood ratio (Dunning 1993) of two items in `total` baskets."""
    rest = np.maximum(total - one - other + both, 0)
    cells = (both, np.maximum(one - both, 0), np.maximum(other - both, 0), rest)
    rows = _entropy(cells[0] + cells[1], cells[2] + cells[3])
    columns = _entropy(cells[0] + cells[2], cells[1] + cells[3])
    ratio = np.sqrt(np.maximum(0, 2 * (rows + columns - _entropy(*cells))))
    more = both * (cells[2] + cells[3]) >= cells[2] * (cells[0] + cells[1])
    signed: Floats = np.where(more, ratio, -ratio)
    return signed


def _entropy(*counts: Floats) -> Floats:
    def xlogx(x: Floats) -> Floats:
        return x * np.log(np.maximum(x, 1e-300))

    return xlogx(sum(counts, np.zeros(1))) - sum(map(xlogx, counts), np.zeros(1))
