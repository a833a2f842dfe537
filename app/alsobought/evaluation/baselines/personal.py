"""What a person buys again and again: baskets with the item, counted alike, aged by days, or aged by baskets.

The last is the personal part of the next-basket methods (Hu et al. 2020, TIFU-KNN; Faggioli et al. 2020, UP-CF):
Σ .95^k · P^.05, k = how many baskets ago, P = share of the last 28 days' baskets with the item. Whoever runs out of items
of their own is given what is popular.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from alsobought.evaluation.baselines.matrices import of_users, with_stranger
from alsobought.evaluation.baselines.scores import TIE_BREAK, Floats, baskets_ago, best, popularity, user_rows
from alsobought.evaluation.log import Purchases
from alsobought.evaluation.tasks import NEXT, NOVEL, WINDOW, Query
from alsobought.events import Item

USER_TASKS = (NEXT, NOVEL, WINDOW)
RAREST = 1e-5  # the share of what nobody bought lately


class Personal:
    """`weight` of each line of a person's past; `popular` is the power of the item's popularity."""

    tasks = USER_TASKS

    def __init__(self, weight: Callable[[Purchases], Floats], popular: float = 0.0) -> None:
        self._weight, self._popular = weight, popular

    def fit(self, past: Purchases, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.past, self.names, self.shares = past, past.names, popularity(past)
        self.weights = with_stranger(of_users(past, self._weight(past)))

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        return best(queries, k, self.past, self._scores)

    def _scores(self, queries: Sequence[Query]) -> Floats:
        own: Floats = self.weights[user_rows(queries, self.names)].toarray()
        return own * np.maximum(self.shares, RAREST) ** self._popular + TIE_BREAK * self.shares


def frequency() -> Personal:
    return Personal(lambda past: np.ones(len(past.lines)))


def half_life(days: float = 84) -> Personal:
    return Personal(lambda past: 2 ** (-past.lines.age / days))


def by_baskets(decay: float = 0.95, popular: float = 0.05) -> Personal:
    return Personal(lambda past: decay ** baskets_ago(past), popular)
