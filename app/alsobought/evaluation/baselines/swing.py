"""Swing (Yang et al. 2020, arXiv 2010.05525): two baskets that agree in little else say more about a pair that both hold.

w(i, j) = Σ over pairs {u, v} of baskets with both of 1/(|u|+15)^.3 · 1/(|v|+15)^.3 · 1/|u ∩ v|, of the latest 300 baskets
with the shown item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from alsobought.evaluation.baselines.matrices import of_baskets
from alsobought.evaluation.baselines.scores import TIE_BREAK, Floats, best, popularity, shown_rows
from alsobought.evaluation.log import Integers, Purchases
from alsobought.evaluation.tasks import ALSO_BOUGHT, Query
from alsobought.events import Item

BASKETS = 300
SMOOTHING = 15
POWER = 0.3


class Swing:
    tasks = (ALSO_BOUGHT,)

    def __init__(self, baskets: int = BASKETS) -> None:
        self._baskets = baskets

    def fit(self, past: Purchases, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.past, self.popular = past, popularity(past)
        self.rows = of_baskets(past)
        self.holding = self.rows.T.tocsr()
        sizes = np.asarray(self.rows.sum(axis=1)).ravel()
        self.weights = 1 / (sizes + SMOOTHING) ** POWER
        self.begun = np.zeros(self.rows.shape[0])
        self.begun[past.lines.basket] = past.lines.time
        self.known: dict[int, tuple[Integers, Floats]] = {}

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        return best(queries, k, self.past, self._scores)

    def _scores(self, queries: Sequence[Query]) -> Floats:
        scores = np.tile(TIE_BREAK * self.popular, (len(queries), 1))
        for row, place in enumerate(shown_rows(queries, self.past.names).tolist()):
            if place < self.holding.shape[0]:
                if place not in self.known:
                    self.known[place] = self.of(place)
                others, values = self.known[place]
                scores[row, others] += values
        return scores

    def of(self, item: int) -> tuple[Integers, Floats]:
        """The items that share two baskets or more with this one, itself among them, and their w."""
        baskets = self.holding[item].indices
        baskets = baskets[np.argsort(-self.begun[baskets], kind="stable")[: self._baskets]]
        held = self.rows[baskets]
        others, places = np.unique(held.indices, return_inverse=True)
        held = np.asarray(held.__class__((held.data, places, held.indptr), shape=(len(baskets), len(others))).todense())
        common = held @ held.T
        np.fill_diagonal(common, np.inf)
        pairs = np.outer(self.weights[baskets], self.weights[baskets]) / np.maximum(common, 1)
        return others, ((pairs @ held) * held).sum(axis=0) / 2
