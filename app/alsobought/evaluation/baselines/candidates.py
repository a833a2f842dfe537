"""Candidates of a re-ranker: the 200 best items of a query by a formula, with their features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from alsobought.evaluation.baselines.co_occurrence import PRIOR, basket_weights
from alsobought.evaluation.baselines.matrices import Matrix, of_baskets, of_users, with_unknown_row
from alsobought.evaluation.baselines.personal import MIN_SHARE
from alsobought.evaluation.baselines.scores import Floats, baskets_ago, forbid, popularity, shown_rows, user_rows
from alsobought.evaluation.baselines.user_cf import BLEND, UserCF
from alsobought.evaluation.log import Integers, Interactions
from alsobought.evaluation.tasks import NOVEL, Query
from alsobought.items import Item

CANDIDATES = 200
BATCH_QUERIES = 64  # each has a score for every item


class ItemFeatures:
    """Features of items: whether sold before, baskets, popularity, price, and codes of category, department and brand."""

    def __init__(self, past: Interactions, items: Mapping[str, Item]) -> None:
        catalogue = [items.get(name) for name in past.names.items]
        self.baskets = np.bincount(past.lines.item, minlength=len(catalogue)).astype(np.float64)
        self.sold, self.total = self.baskets > 0, len(np.unique(past.basket))
        self.popular, self.quarter = popularity(past), popularity(past, 84)
        self.price = np.asarray([(item.price or 0.0) if item else 0.0 for item in catalogue])
        categories = [(item.category or "") if item else "" for item in catalogue]
        self.category = _codes(categories)
        self.department = _codes([category.partition("/")[0] for category in categories])
        self.brand = _codes([(item.brand or "") if item else "" for item in catalogue])


class ItemCandidates:
    """For also-bought: the candidates of an item by the formula of the SQL, and counts of pairs."""

    def __init__(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.names, self.features = past.names, ItemFeatures(past, items)
        weights = basket_weights(past)
        sizes = np.bincount(past.lines.basket, minlength=len(past.names.baskets))
        self.baskets = of_baskets(past)
        self.users = (of_users(past, np.ones(len(past.lines))) > 0).astype(np.float64)
        self.weighted = _by_item(sparse.diags(weights) @ self.baskets)
        self.sized = _by_item(sparse.diags(1 / np.sqrt(np.maximum(sizes, 1))) @ self.baskets)
        self.counted, self.bought = _by_item(self.baskets), _by_item(self.users)
        self.prior = PRIOR * float(weights[np.unique(past.basket)].mean()) * self.features.popular

    def of(self, queries: Sequence[Query]) -> tuple[Integers, Floats]:
        """Candidates (queries x 200) and their features (queries x 200 x features)."""
        shown = shown_rows(queries, self.names)
        weighted: Floats = (self.weighted[shown] @ self.baskets).toarray()
        scores = weighted + self.prior
        scores[:, ~self.features.sold] = -np.inf
        forbid(scores, queries, self.names)
        candidates = highest(scores)
        pick = picker(candidates)
        counts = pick((self.counted[shown] @ self.baskets).toarray())
        features = (pick(scores), pick(weighted), pick((self.sized[shown] @ self.baskets).toarray()), counts)
        users = pick((self.bought[shown] @ self.users).toarray())
        return candidates, np.stack([*features, users, *self._pair_features(shown, candidates, counts)], axis=2)

    def _pair_features(self, shown: Integers, candidates: Integers, counts: Floats) -> list[Floats]:
        items = self.features
        shown = np.minimum(shown, len(items.baskets) - 1)[:, None]  # of an unknown item all counts are 0
        one, other, total = items.baskets[shown], items.baskets[candidates], items.total
        ratio = np.log((items.price[candidates] + 0.01) / (items.price[shown] + 0.01))
        return [
            np.broadcast_to(one, candidates.shape),
            other,
            items.popular[candidates],
            counts / np.maximum(one, 1),
            counts * total / np.maximum(one * other, 1),
            counts / np.sqrt(np.maximum(one * other, 1)),
            signed_root(counts, one, other, total),
            (items.category[shown] == items.category[candidates]) * 1.0,
            (items.department[shown] == items.department[candidates]) * 1.0,
            (items.brand[shown] == items.brand[candidates]) * 1.0,
            ratio,
            items.price[candidates],
            np.broadcast_to(np.arange(candidates.shape[1], dtype=np.float64), candidates.shape),
        ]


class UserCandidates:
    """For tasks about users: the candidates by the blend of their own and their neighbours' shares, and their history."""

    def __init__(self, past: Interactions, items: Mapping[str, Item], task: str) -> None:
        self.names, self.features, self._novel = past.names, ItemFeatures(past, items), task == NOVEL
        self.near = UserCF()
        self.near.fit(past, items, task)
        lines, ago = past.lines, baskets_ago(past)
        self.past: list[Matrix] = [
            with_unknown_row(of_users(past, values))
            for values in (np.ones(len(lines)), 0.95**ago, 2 ** (-lines.age / 30), 2 ** (-lines.age / 84), 0.8**ago)
        ]
        self.latest = with_unknown_row(_latest(past, 1 / (1 + ago)))
        self.newest = with_unknown_row(_latest(past, 1 / (1 + lines.age)))
        shape = (len(past.names.users), int(self.features.category.max(initial=0)) + 1)
        by_category = sparse.csr_matrix(
            (np.ones(len(lines)), (lines.user, self.features.category[lines.item])), shape=shape
        )
        self.tastes = with_unknown_row(by_category.multiply(1 / np.maximum(by_category.sum(axis=1), 1)).tocsr())
        pairs = np.unique(lines.user * len(past.names.baskets) + lines.basket) // max(1, len(past.names.baskets))
        self.visits = np.append(np.bincount(pairs, minlength=len(past.names.users)), 0).astype(np.float64)

    def of(self, queries: Sequence[Query]) -> tuple[Integers, Floats]:
        users = user_rows(queries, self.names)
        own, neighbours = self.near.own(queries), self.near.of_neighbours(queries)
        scores = neighbours.copy() if self._novel else own + BLEND * neighbours
        scores[:, ~self.features.sold] = -np.inf
        forbid(scores, queries, self.names)
        candidates = highest(scores)
        pick, items = picker(candidates), self.features
        visits = np.broadcast_to(self.visits[users][:, None], candidates.shape)
        taste = np.take_along_axis(self.tastes[users].toarray(), items.category[candidates], axis=1)
        features = [pick(scores), pick(own), pick(neighbours), *(pick(past[users].toarray()) for past in self.past)]
        features += [pick(self.latest[users].toarray()), pick(self.newest[users].toarray()), taste, visits]
        features += [
            features[3] / np.maximum(visits, 1),
            items.popular[candidates],
            items.quarter[candidates],
            items.baskets[candidates],
        ]
        features += [
            items.popular[candidates] / np.maximum(items.quarter[candidates], MIN_SHARE),
            items.price[candidates],
        ]
        features += [np.broadcast_to(np.arange(candidates.shape[1], dtype=np.float64), candidates.shape)]
        return candidates, np.stack(features, axis=2)


def highest(scores: Floats) -> Integers:
    """The indexes of the 200 highest scores of each row, the highest first."""
    count = min(CANDIDATES, scores.shape[1])
    candidates = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, candidates, axis=1), axis=1, kind="stable")
    return np.take_along_axis(candidates, order, axis=1)


def picker(candidates: Integers) -> Callable[[Any], Floats]:
    """A function that selects the values of these candidates from a row per query."""
    return lambda values: np.take_along_axis(np.asarray(values), candidates, axis=1)


def signed_root(both: Floats, one: Floats, other: Floats, total: int) -> Floats:
    """The signed root of the log-likelihood ratio (Dunning 1993) of two items in `total` baskets."""
    rest = np.maximum(total - one - other + both, 0)
    cells = (both, np.maximum(one - both, 0), np.maximum(other - both, 0), rest)
    rows = _entropy(cells[0] + cells[1], cells[2] + cells[3])
    columns = _entropy(cells[0] + cells[2], cells[1] + cells[3])
    ratio = np.sqrt(np.maximum(0, 2 * (rows + columns - _entropy(*cells))))
    more = both * (cells[2] + cells[3]) >= cells[2] * (cells[0] + cells[1])
    signed: Floats = np.where(more, ratio, -ratio)
    return signed


def _entropy(*counts: Floats) -> Floats:
    def xlogx(x: Floats) -> Floats:
        return x * np.log(np.maximum(x, 1e-300))

    return xlogx(sum(counts, np.zeros(1))) - sum(map(xlogx, counts), np.zeros(1))


def _by_item(values: Matrix) -> Matrix:
    return with_unknown_row(values.T.tocsr())


def _latest(past: Interactions, values: Floats) -> Matrix:
    """users x items: the largest value of their lines."""
    lines, width = past.lines, len(past.names.items)
    keys = lines.user * width + lines.item
    order = np.lexsort((-values, keys))
    pairs, first = np.unique(keys[order], return_index=True)
    shape = (len(past.names.users), width)
    return sparse.csr_matrix((values[order][first], (pairs // width, pairs % width)), shape=shape)


def _codes(names: Sequence[str]) -> Integers:
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)
