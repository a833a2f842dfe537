"""Co-occurrence with the shown item, in baskets or with the same users: plain counts, or counts weighted by age and size.

The weighted ones are the formula of the SQL: Σ 2^(-age/180 d)/√size, and 30 · mean weight · P28(other) as a prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from alsobought.evaluation.baselines.matrices import of_baskets, of_groups, with_unknown_row
from alsobought.evaluation.baselines.scores import TIE_BREAK, Floats, best, popularity, shown_rows
from alsobought.evaluation.log import Interactions
from alsobought.evaluation.tasks import ALSO_SEEN, SHOWN_TASKS, Query
from alsobought.items import Item

HALF_LIFE_DAYS = 180
PRIOR = 30


class CoOccurrence:
    """`weighted` by age and size of baskets; else each counts 1. With `users`, the users with both items are counted."""

    tasks = SHOWN_TASKS

    def __init__(self, weighted: bool = False, users: bool = False) -> None:
        self._weighted, self._users = weighted, users

    def fit(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.past, self.names, self.shares = past, past.names, popularity(past)
        self.groups = of_groups(past, ALSO_SEEN) if self._users else of_baskets(past)
        weights = basket_weights(past) if self._weighted else np.ones(self.groups.shape[0])
        self.by_item = with_unknown_row((sparse.diags(weights) @ self.groups).T.tocsr())
        self.prior = TIE_BREAK
        if self._weighted and len(past):
            self.prior = PRIOR * float(weights[np.unique(past.basket)].mean())

    def recommend(self, queries: Sequence[Query], k: int) -> list[list[str]]:
        return best(queries, k, self.past, self._scores)

    def _scores(self, queries: Sequence[Query]) -> Floats:
        together: Floats = (self.by_item[shown_rows(queries, self.names)] @ self.groups).toarray()
        return together + self.prior * self.shares


def basket_weights(past: Interactions) -> Floats:
    """2^(-age/180 d)/√size for each basket, 0 for one outside this past."""
    lines = past.lines
    sizes = np.bincount(lines.basket, minlength=len(past.names.baskets))
    age = np.zeros(len(past.names.baskets))
    age[lines.basket] = lines.age
    return np.where(sizes > 0, 2 ** (-age / HALF_LIFE_DAYS) / np.sqrt(np.maximum(sizes, 1)), 0)
