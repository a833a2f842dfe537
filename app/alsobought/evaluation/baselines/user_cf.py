"""Of a person's 100 nearest neighbours what they buy: user-based collaborative filtering on decayed shares (Faggioli et al. 2020).

A person is the shares of .95^k over items, k = how many baskets ago; nearness is the cosine of the square roots of these
shares. For next and window the neighbours' shares are added to the person's own; for next-novel they stand alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from alsobought.evaluation.baselines.matrices import matrix, of_users, shares, unit, with_stranger
from alsobought.evaluation.baselines.personal import RAREST, USER_TASKS
from alsobought.evaluation.baselines.scores import TIE_BREAK, Floats, baskets_ago, best, popularity, user_rows
from alsobought.evaluation.log import Purchases
from alsobought.evaluation.tasks import NOVEL, Query
from alsobought.events import Item

DECAY = 0.95
NEIGHBOURS = 100
BLEND = 0.3
POPULAR = 0.05


class UserCF:
    tasks = USER_TASKS

    def __init__(self, neighbours: int = NEIGHBOURS, blend: float = BLEND, power: float = 1.0) -> None:
        self._neighbours, self._blend, self._power = neighbours, blend, power

    def fit(self, past: Purchases, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.past, self.names, self.popular, self._alone = past, past.names, popularity(past), task == NOVEL
        self.shares = with_stranger(shares(of_users(past, DECAY ** baskets_ago(past))))
        self.roots = unit(self.shares.power(0.5))

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        return best(queries, k, self.past, self._scores)

    def _scores(self, queries: Sequence[Query]) -> Floats:
        theirs = self.of_neighbours(queries)
        return theirs if self._alone else self.own(queries) + self._blend * theirs

    def own(self, queries: Sequence[Query]) -> Floats:
        """Each one's decayed shares, what is popular a little higher."""
        shares: Floats = self.shares[user_rows(queries, self.names)].toarray()
        return shares * np.maximum(self.popular, RAREST) ** POPULAR

    def of_neighbours(self, queries: Sequence[Query]) -> Floats:
        """The mean of the neighbours' shares, by nearness."""
        users = user_rows(queries, self.names)
        near: Floats = (self.roots[users] @ self.roots.T).toarray()
        near[np.arange(len(users)), users] = 0
        count = min(self._neighbours, near.shape[1])
        nearest = np.argpartition(-near, count - 1, axis=1)[:, :count]
        rows = np.repeat(np.arange(len(users)), count)
        weights = near[rows, nearest.ravel()] ** self._power
        sums = np.maximum(np.bincount(rows, weights, minlength=len(users)), 1e-12)
        mean = matrix(rows, nearest.ravel(), weights / sums[rows], near.shape)
        return (mean @ self.shares).toarray() + TIE_BREAK * self.popular  # type: ignore[no-any-return]
