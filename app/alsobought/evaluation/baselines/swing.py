"""Swing (Yang et al. 2020, arXiv 2010.05525): a pair in two baskets counts more the less else they have in common.

w(i, j) = Σ over pairs {u, v} of baskets with both of 1/(|u|+15)^.3 · 1/(|v|+15)^.3 · 1/|u ∩ v|, over the latest 300
baskets with the shown item. For also-seen, users take the place of baskets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from alsobought.evaluation.baselines.matrices import of_groups
from alsobought.evaluation.baselines.scores import TIE_BREAK, Floats, best, popularity, shown_rows
from alsobought.evaluation.log import Integers, Interactions
from alsobought.evaluation.tasks import ALSO_SEEN, SHOWN_TASKS, Query
from alsobought.items import Item

BASKETS = 300
SMOOTHING = 15
POWER = 0.3


class Swing:
    tasks = SHOWN_TASKS

    def __init__(self, baskets: int = BASKETS) -> None:
        self._baskets = baskets

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.past, self.popular = past, popularity(past)
        self.rows = of_groups(past, task)
        self.baskets_of_item = self.rows.T.tocsr()
        sizes = np.asarray(self.rows.sum(axis=1)).ravel()
        self.weights = 1 / (sizes + SMOOTHING) ** POWER
        self.times = np.zeros(self.rows.shape[0])
        self.times[past.lines.user if task == ALSO_SEEN else past.lines.basket] = past.lines.time
        self.cache: dict[int, tuple[Integers, Floats]] = {}

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        return best(queries, k, self.past, self._scores)

    def _scores(self, queries: Sequence[Query]) -> Floats:
        scores = np.tile(TIE_BREAK * self.popular, (len(queries), 1))
        for row, item in enumerate(shown_rows(queries, self.past.names).tolist()):
            if item < self.baskets_of_item.shape[0]:
                if item not in self.cache:
                    self.cache[item] = self.weights_of(item)
                others, values = self.cache[item]
                scores[row, others] += values
        return scores

    def weights_of(self, item: int) -> tuple[Integers, Floats]:
        """The items that share two or more baskets with this one, including itself, and their w."""
        baskets = self.baskets_of_item[item].indices
        baskets = baskets[np.argsort(-self.times[baskets], kind="stable")[: self._baskets]]
        rows = self.rows[baskets]
        others, columns = np.unique(rows.indices, return_inverse=True)
        rows = np.asarray(
            rows.__class__((rows.data, columns, rows.indptr), shape=(len(baskets), len(others))).todense()
        )
        common = rows @ rows.T
        np.fill_diagonal(common, np.inf)
        pairs = np.outer(self.weights[baskets], self.weights[baskets]) / np.maximum(common, 1)
        return others, ((pairs @ rows) * rows).sum(axis=0) / 2
