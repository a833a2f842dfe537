"""User-based collaborative filtering: the decayed shares of a user's 100 nearest neighbours (Faggioli et al. 2020).

A user is a vector of the shares of .95^k over items, k = number of baskets since; similarity is the cosine of the square
roots of these shares. For next and window the neighbours' shares are added to the user's own; for next-novel only they count.
`popular` adds that multiple of the items' shares of the lines of 28 days to those of the neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from alsobought.evaluation.baselines.matrices import matrix, of_users, shares, unit, with_unknown_row
from alsobought.evaluation.baselines.personal import MIN_SHARE
from alsobought.evaluation.baselines.scores import TIE_BREAK, Floats, baskets_ago, best, popularity, user_rows
from alsobought.evaluation.log import Interactions
from alsobought.evaluation.tasks import NOVEL, USER_TASKS, Query
from alsobought.items import Item

DECAY = 0.95
NEIGHBOURS = 100
BLEND = 0.3
POPULAR = 0.05


class UserCF:
    tasks = USER_TASKS

    def __init__(
        self, neighbours: int = NEIGHBOURS, blend: float = BLEND, power: float = 1.0, popular: float = 0.0
    ) -> None:
        self._neighbours, self._blend, self._power, self._popular = neighbours, blend, power, popular

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.past, self.names, self.popular, self._novel = past, past.names, popularity(past), task == NOVEL
        self.shares = with_unknown_row(shares(of_users(past, DECAY ** baskets_ago(past))))
        self.roots = unit(self.shares.power(0.5))

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        return best(queries, k, self.past, self._scores)

    def _scores(self, queries: Sequence[Query]) -> Floats:
        neighbours = self.of_neighbours(queries)
        others = neighbours + self._popular * self.popular / max(float(self.popular.sum()), MIN_SHARE)
        return others if self._novel else self.own(queries) + self._blend * others

    def own(self, queries: Sequence[Query]) -> Floats:
        """The user's own decayed shares, raised a little for popular items."""
        shares: Floats = self.shares[user_rows(queries, self.names)].toarray()
        return shares * np.maximum(self.popular, MIN_SHARE) ** POPULAR

    def of_neighbours(self, queries: Sequence[Query]) -> Floats:
        """The mean of the neighbours' shares, weighted by similarity."""
        users = user_rows(queries, self.names)
        similarity: Floats = (self.roots[users] @ self.roots.T).toarray()
        similarity[np.arange(len(users)), users] = 0
        count = min(self._neighbours, similarity.shape[1])
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        rows = np.repeat(np.arange(len(users)), count)
        weights = similarity[rows, nearest.ravel()] ** self._power
        sums = np.maximum(np.bincount(rows, weights, minlength=len(users)), 1e-12)
        mean = matrix(rows, nearest.ravel(), weights / sums[rows], similarity.shape)
        return (mean @ self.shares).toarray() + TIE_BREAK * self.popular  # type: ignore[no-any-return]
