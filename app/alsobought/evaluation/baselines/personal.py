"""Repeat purchases of a user: baskets with the item, counted equally, discounted by days, or discounted by baskets.

The last is the personal part of the next-basket methods (Hu et al. 2020, TIFU-KNN; Faggioli et al. 2020, UP-CF):
Σ .95^k · P^.05, k = number of baskets since, P = share of the last 28 days' baskets with the item. Popular items follow the
user's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from alsobought.evaluation.baselines.matrices import of_users, with_unknown_row
from alsobought.evaluation.baselines.scores import TIE_BREAK, Floats, baskets_ago, best, popularity, user_rows
from alsobought.evaluation.log import Interactions
from alsobought.evaluation.tasks import USER_TASKS, Query
from alsobought.items import Item

MIN_SHARE = 1e-5  # of an item without recent purchases


class Personal:
    """`weight` returns that of each line of the past; `popular` is the exponent of the item's popularity."""

    tasks = USER_TASKS

    def __init__(self, weight: Callable[[Interactions], Floats], popular: float = 0.0) -> None:
        self._weight, self._popular = weight, popular

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.past, self.names, self.shares = past, past.names, popularity(past)
        self.weights = with_unknown_row(of_users(past, self._weight(past)))

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        return best(queries, k, self.past, self._scores)

    def _scores(self, queries: Sequence[Query]) -> Floats:
        own: Floats = self.weights[user_rows(queries, self.names)].toarray()
        return own * np.maximum(self.shares, MIN_SHARE) ** self._popular + TIE_BREAK * self.shares


def frequency() -> Personal:
    return Personal(lambda past: np.ones(len(past.lines)))


def half_life(days: float = 84) -> Personal:
    return Personal(lambda past: 2 ** (-past.lines.age / days))


def by_baskets(decay: float = 0.95, popular: float = 0.05) -> Personal:
    return Personal(lambda past: decay ** baskets_ago(past), popular)
