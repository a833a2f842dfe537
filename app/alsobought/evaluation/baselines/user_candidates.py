"""Candidates of a user: by the blend of their own and their neighbours' shares, with their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import sparse

from alsobought.evaluation.baselines.candidates import broadcast, cells, highest, of_ease, picker
from alsobought.evaluation.baselines.ease import Ease
from alsobought.evaluation.baselines.item_features import MONTH, ItemFeatures
from alsobought.evaluation.baselines.matrices import Matrix, matrix, of_users, with_unknown_row
from alsobought.evaluation.baselines.personal import MIN_SHARE
from alsobought.evaluation.baselines.scores import Floats, baskets_ago, forbid, user_rows
from alsobought.evaluation.baselines.user_cf import BLEND, UserCF
from alsobought.evaluation.log import Integers, Interactions
from alsobought.evaluation.tasks import NOVEL, Query
from alsobought.items import Item


class UserCandidates:
    def __init__(self, past: Interactions, items: Mapping[str, Item], task: str, ease_items: int) -> None:
        self.names, self.features, self._novel = past.names, ItemFeatures(past, items), task == NOVEL
        self.near, self.ease = UserCF(), Ease(ease_items)
        self.near.fit(past, items, task)
        self.ease.fit(past, items, task)
        self.popular = self.features.month / max(float(self.features.month.sum()), MIN_SHARE)
        self.habits = _habits(past, self.features.category)
        lines, ago = past.lines, baskets_ago(past)
        self.past = [
            with_unknown_row(of_users(past, values))
            for values in (np.ones(len(lines)), 0.95**ago, 2 ** (-lines.age / 30), 2 ** (-lines.age / 84), 0.8**ago)
        ]
        self.latest, self.newest, self.oldest = (
            with_unknown_row(_largest(past, values)) for values in (1 / (1 + ago), 1 / (1 + lines.age), 1 + lines.age)
        )
        width = len(past.names.users)
        baskets, first = np.unique(lines.basket, return_index=True)
        self.visits = _per_user(lines.user[first], np.ones(len(baskets)), width)
        self.lines = _per_user(lines.user, np.ones(len(lines)), width)
        self.distinct = np.append(np.diff(of_users(past, np.ones(len(lines))).indptr), 0).astype(np.float64)

    def of(self, queries: Sequence[Query]) -> tuple[Integers, Floats]:
        users = user_rows(queries, self.names)
        own, neighbours = self.near.own(queries), self.near.of_neighbours(queries)
        scores = neighbours + self.popular if self._novel else own + BLEND * neighbours
        scores[:, ~self.features.sold] = -np.inf
        forbid(scores, queries, self.names)
        candidates = highest(scores)
        pick = picker(candidates)
        columns = [pick(scores), pick(own), pick(neighbours), of_ease(self.ease, queries, candidates)]
        columns += self._history(users, candidates)
        columns += [cells(habit, users, self.features.category[candidates]) for habit in self.habits]
        visits, lines = self.visits[users], self.lines[users]
        columns += [
            broadcast(values, candidates)
            for values in (visits, lines / np.maximum(visits, 1), self.distinct[users] / np.maximum(lines, 1))
        ]
        columns += self.features.columns(candidates)
        columns.append(np.broadcast_to(np.arange(candidates.shape[1], dtype=np.float64), candidates.shape))
        return candidates, np.stack(columns, axis=2)

    def _history(self, users: Integers, candidates: Integers) -> list[Floats]:
        """How often and how lately, and the days since the last time over the mean days between two times."""
        counts, *decayed = (cells(values, users, candidates) for values in self.past)
        latest, newest, oldest = (cells(of, users, candidates) for of in (self.latest, self.newest, self.oldest))
        since = 1 / np.maximum(newest, 1e-6) - 1
        between = np.maximum(oldest - 1 - since, 0) / np.maximum(counts - 1, 1)
        overdue = np.where(counts > 1, since / np.maximum(between, 1), -1.0)
        rate = counts / np.maximum(self.visits[users], 1)[:, None]
        return [counts, *decayed, latest, newest, overdue, rate]


def _habits(past: Interactions, category: Integers) -> list[Matrix]:
    """users x categories: the share of their lines, of those of the last 28 days, and how lately."""
    lines = past.lines
    shape = (len(past.names.users), int(category.max(initial=0)) + 1)
    categories = category[lines.item]
    habits = []
    weights: tuple[Floats, ...] = (np.ones(len(lines)), (lines.age <= MONTH).astype(np.float64))
    for values in weights:
        shares = matrix(lines.user, categories, values, shape)
        sums = np.maximum(np.asarray(shares.sum(axis=1)).ravel(), 1)
        habits.append(with_unknown_row(sparse.diags(1 / sums) @ shares))
    return [*habits, with_unknown_row(_largest_cells(lines.user, categories, 1 / (1 + lines.age), shape))]


def _largest(past: Interactions, values: Floats) -> Matrix:
    """users x items: the largest value of their lines."""
    shape = (len(past.names.users), len(past.names.items))
    return _largest_cells(past.lines.user, past.lines.item, values, shape)


def _largest_cells(rows: Integers, columns: Integers, values: Floats, shape: tuple[int, int]) -> Matrix:
    keys = rows * shape[1] + columns
    order = np.lexsort((-values, keys))
    pairs, first = np.unique(keys[order], return_index=True)
    return matrix(pairs // shape[1], pairs % shape[1], values[order][first], shape)


def _per_user(users: Integers, values: Floats, width: int) -> Floats:
    """The sum of each user's values, and a 0 for unknown users."""
    return np.append(np.bincount(users, values, width), 0.0)
