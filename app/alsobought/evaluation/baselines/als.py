"""Alternating least squares for implicit feedback (Hu, Koren and Volinsky 2008), by the library implicit.

The matrix is users by items. With an item shown it is that of the groups of the task, and items are ranked by the dot product
with the shown item's factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from alsobought.evaluation.baselines.matrices import of_groups, of_users
from alsobought.evaluation.baselines.scores import TIE_BREAK, Floats, best, popularity, shown_rows, user_rows
from alsobought.evaluation.log import Interactions
from alsobought.evaluation.tasks import SHOWN_TASKS, TASKS, Query
from alsobought.items import Item

FACTORS = 128
REGULARISATION = 0.05
ITERATIONS = 15
ALPHA = 1.0  # confidence is alpha · log2(1 + count)
SEED = 1


class Als:
    tasks = TASKS

    def __init__(self, factors: int = FACTORS, l2: float = REGULARISATION, alpha: float = ALPHA) -> None:
        self._factors, self._regularisation, self._alpha = factors, l2, alpha

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.past, self.popular, self.shows = past, popularity(past), task in SHOWN_TASKS
        counts = of_groups(past, task) if self.shows else of_users(past, np.ones(len(past.lines)))
        counts = counts[np.unique(counts.nonzero()[0])] if self.shows else counts
        counts.data = np.log2(1 + counts.data)
        with threadpool_limits(1, "blas"):  # implicit warns of BLAS threads beside its own
            model = AlternatingLeastSquares(
                factors=self._factors,
                regularization=self._regularisation,
                alpha=self._alpha,
                iterations=ITERATIONS,
                random_state=SEED,
                num_threads=1,  # deterministic, and fast on a busy machine
            )
            model.fit(counts.astype(np.float32), show_progress=False)
        self.items: Floats = np.asarray(model.item_factors)
        queries = unit_rows(self.items) if self.shows else np.asarray(model.user_factors)
        self.query_factors: Floats = np.vstack([queries, np.zeros(queries.shape[1])])

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        return best(queries, k, self.past, self._scores)

    def _scores(self, queries: Sequence[Query]) -> Floats:
        rows = (shown_rows if self.shows else user_rows)(queries, self.past.names)
        scores: Floats = (self.query_factors[rows] @ self.items.T).astype(np.float64)
        return scores + TIE_BREAK * self.popular


def unit_rows(values: Floats) -> Floats:
    lengths: Floats = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.maximum(lengths, 1e-12)
