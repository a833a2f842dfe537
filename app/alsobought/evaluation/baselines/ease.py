"""EASE (Steck 2019, arXiv 1905.03375) on the logarithm of counts, for the items with the most users.

For a user, the items are weighted by how often they had them. With an item shown, the rows are the groups of the task, and the
items are ranked by the weights of the shown item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from alsobought.evaluation.baselines.matrices import of_groups, of_users, with_unknown_row
from alsobought.evaluation.baselines.scores import TIE_BREAK, Floats, best, popularity, shown_rows, user_rows
from alsobought.evaluation.log import Interactions
from alsobought.evaluation.tasks import SHOWN_TASKS, TASKS, Query
from alsobought.items import Item
from alsobought.learning.ease import weights

ITEMS = 8_000
REGULARISATION = {True: 300.0, False: 100.0}  # with an item shown, of users


class Ease:
    tasks = TASKS

    def __init__(self, items: int = ITEMS, l2: float | None = None) -> None:
        self._items, self._l2 = items, l2

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.past, self.popular, self.shows = past, popularity(past), task in SHOWN_TASKS
        counts = of_groups(past, task) if self.shows else of_users(past, np.ones(len(past.lines)))
        sold = np.bincount(counts.nonzero()[1], minlength=counts.shape[1])
        self.columns = np.sort(np.argsort(-sold, kind="stable")[: min(self._items, np.count_nonzero(sold))])
        rows = counts[:, self.columns]
        rows = sparse.csr_matrix((np.log2(1 + rows.data), rows.indices, rows.indptr), shape=rows.shape)
        used = rows[np.unique(rows.nonzero()[0])]
        self.weights = weights(used, self._l2 or REGULARISATION[self.shows])
        ones = sparse.csr_matrix(
            (np.ones(len(self.columns)), (self.columns, np.arange(len(self.columns)))),
            shape=(counts.shape[1], len(self.columns)),
        )
        self.rows = with_unknown_row(ones if self.shows else rows)

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        return best(queries, k, self.past, self._scores)

    def _scores(self, queries: Sequence[Query]) -> Floats:
        scores = np.tile(TIE_BREAK * self.popular, (len(queries), 1))
        scores[:, self.columns] += self.known_scores(queries)
        return scores

    def known_scores(self, queries: Sequence[Query]) -> Floats:
        """Of the items in `columns` only."""
        rows = (shown_rows if self.shows else user_rows)(queries, self.past.names)
        scores: Floats = self.rows[rows] @ self.weights
        return scores
