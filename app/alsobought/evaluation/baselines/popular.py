"""The items in most baskets of the last 28 days, for every user alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from alsobought.evaluation.baselines.scores import Floats, best, popularity
from alsobought.evaluation.log import Interactions
from alsobought.evaluation.tasks import TASKS, Query
from alsobought.items import Item


class Popularity:
    tasks = TASKS

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.past, self.names, self.shares = past, past.names, popularity(past)

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        return best(queries, k, self.past, self._scores)

    def _scores(self, queries: Sequence[Query]) -> Floats:
        return np.tile(self.shares, (len(queries), 1))
