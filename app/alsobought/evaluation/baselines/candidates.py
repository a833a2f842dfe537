"""What a re-ranker looks at: the 200 candidates of a question by a formula, and what is known of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from alsobought.evaluation.baselines.co_occurrence import PRIOR, basket_weights
from alsobought.evaluation.baselines.matrices import Matrix, of_baskets, of_users, with_stranger
from alsobought.evaluation.baselines.personal import RAREST
from alsobought.evaluation.baselines.scores import Floats, baskets_ago, forbid, popularity, shown_rows, user_rows
from alsobought.evaluation.baselines.user_cf import BLEND, UserCF
from alsobought.evaluation.log import Integers, Purchases
from alsobought.evaluation.tasks import NOVEL, Query
from alsobought.events import Item

CANDIDATES = 200
BLOCK = 64  # questions with a score for every item at once


class Facts:
    """What is known of items: `sold` before, baskets, popularity, price, and codes of category, department and brand."""

    def __init__(self, past: Purchases, items: Mapping[str, Item]) -> None:
        known = [items.get(name) for name in past.names.items]
        self.baskets = np.bincount(past.lines.item, minlength=len(known)).astype(np.float64)
        self.sold, self.total = self.baskets > 0, len(np.unique(past.basket))
        self.popular, self.quarter = popularity(past), popularity(past, 84)
        self.price = np.asarray([item.price if item else 0.0 for item in known])
        self.category = _codes([item.category if item else "" for item in known])
        self.department = _codes([item.category.partition("/")[0] if item else "" for item in known])
        self.brand = _codes([item.brand if item else "" for item in known])


class Pairs:
    """For also-bought: the candidates of an item by the formula of the SQL, and counts of pairs. The same for every question."""

    def __init__(self, past: Purchases, items: Mapping[str, Item], task: str) -> None:  # noqa: ARG002
        self.names, self.facts = past.names, Facts(past, items)
        weights = basket_weights(past)
        sizes = np.bincount(past.lines.basket, minlength=len(past.names.baskets))
        self.baskets = of_baskets(past)
        self.people = (of_users(past, np.ones(len(past.lines))) > 0).astype(np.float64)
        self.weighted = _by_item(sparse.diags(weights) @ self.baskets)
        self.sized = _by_item(sparse.diags(1 / np.sqrt(np.maximum(sizes, 1))) @ self.baskets)
        self.counted, self.bought = _by_item(self.baskets), _by_item(self.people)
        self.prior = PRIOR * float(weights[np.unique(past.basket)].mean()) * self.facts.popular

    def of(self, queries: Sequence[Query]) -> tuple[Integers, Floats]:
        """Candidates (questions x 200) and what is known of them (questions x 200 x facts)."""
        shown = shown_rows(queries, self.names)
        weighted: Floats = (self.weighted[shown] @ self.baskets).toarray()
        scores = weighted + self.prior
        scores[:, ~self.facts.sold] = -np.inf
        forbid(scores, queries, self.names)
        places = strongest(scores)
        pick = picker(places)
        counts = pick((self.counted[shown] @ self.baskets).toarray())
        known = (pick(scores), pick(weighted), pick((self.sized[shown] @ self.baskets).toarray()), counts)
        people = pick((self.bought[shown] @ self.people).toarray())
        return places, np.stack([*known, people, *self._of_both(shown, places, counts)], axis=2)

    def _of_both(self, shown: Integers, places: Integers, counts: Floats) -> list[Floats]:
        facts = self.facts
        shown = np.minimum(shown, len(facts.baskets) - 1)[:, None]  # of a stranger all counts are 0
        one, other, total = facts.baskets[shown], facts.baskets[places], facts.total
        ratio = np.log((facts.price[places] + 0.01) / (facts.price[shown] + 0.01))
        return [
            np.broadcast_to(one, places.shape),
            other,
            facts.popular[places],
            counts / np.maximum(one, 1),
            counts * total / np.maximum(one * other, 1),
            counts / np.sqrt(np.maximum(one * other, 1)),
            signed_root(counts, one, other, total),
            (facts.category[shown] == facts.category[places]) * 1.0,
            (facts.department[shown] == facts.department[places]) * 1.0,
            (facts.brand[shown] == facts.brand[places]) * 1.0,
            ratio,
            facts.price[places],
            np.broadcast_to(np.arange(places.shape[1], dtype=np.float64), places.shape),
        ]


class People:
    """For the tasks about people: the candidates by the blend of their own and their neighbours' shares, and their past."""

    def __init__(self, past: Purchases, items: Mapping[str, Item], task: str) -> None:
        self.names, self.facts, self._novel = past.names, Facts(past, items), task == NOVEL
        self.near = UserCF()
        self.near.fit(past, items, task)
        lines, ago = past.lines, baskets_ago(past)
        self.past: list[Matrix] = [
            with_stranger(of_users(past, values))
            for values in (np.ones(len(lines)), 0.95**ago, 2 ** (-lines.age / 30), 2 ** (-lines.age / 84), 0.8**ago)
        ]
        self.latest = with_stranger(_latest(past, 1 / (1 + ago)))
        self.newest = with_stranger(_latest(past, 1 / (1 + lines.age)))
        shape = (len(past.names.users), int(self.facts.category.max(initial=0)) + 1)
        by_category = sparse.csr_matrix(
            (np.ones(len(lines)), (lines.user, self.facts.category[lines.item])), shape=shape
        )
        self.tastes = with_stranger(by_category.multiply(1 / np.maximum(by_category.sum(axis=1), 1)).tocsr())
        pairs = np.unique(lines.user * len(past.names.baskets) + lines.basket) // max(1, len(past.names.baskets))
        self.visits = np.append(np.bincount(pairs, minlength=len(past.names.users)), 0).astype(np.float64)

    def of(self, queries: Sequence[Query]) -> tuple[Integers, Floats]:
        users = user_rows(queries, self.names)
        own, theirs = self.near.own(queries), self.near.of_neighbours(queries)
        scores = theirs.copy() if self._novel else own + BLEND * theirs
        scores[:, ~self.facts.sold] = -np.inf
        forbid(scores, queries, self.names)
        places = strongest(scores)
        pick, facts = picker(places), self.facts
        visits = np.broadcast_to(self.visits[users][:, None], places.shape)
        taste = np.take_along_axis(self.tastes[users].toarray(), facts.category[places], axis=1)
        found = [pick(scores), pick(own), pick(theirs), *(pick(one[users].toarray()) for one in self.past)]
        found += [pick(self.latest[users].toarray()), pick(self.newest[users].toarray()), taste, visits]
        found += [found[3] / np.maximum(visits, 1), facts.popular[places], facts.quarter[places], facts.baskets[places]]
        found += [facts.popular[places] / np.maximum(facts.quarter[places], RAREST), facts.price[places]]
        found += [np.broadcast_to(np.arange(places.shape[1], dtype=np.float64), places.shape)]
        return places, np.stack(found, axis=2)


def strongest(scores: Floats) -> Integers:
    """The places of the 200 highest scores of each row, the highest first."""
    count = min(CANDIDATES, scores.shape[1])
    places = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, places, axis=1), axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1)


def picker(places: Integers) -> Callable[[Any], Floats]:
    """What takes the values of these places out of a row for each question."""
    return lambda values: np.take_along_axis(np.asarray(values), places, axis=1)


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
    return with_stranger(values.T.tocsr())


def _latest(past: Purchases, values: Floats) -> Matrix:
    """users x items of the largest of these values of their lines."""
    lines, width = past.lines, len(past.names.items)
    keys = lines.user * width + lines.item
    order = np.lexsort((-values, keys))
    found, first = np.unique(keys[order], return_index=True)
    shape = (len(past.names.users), width)
    return sparse.csr_matrix((values[order][first], (found // width, found % width)), shape=shape)


def _codes(names: Sequence[str]) -> Integers:
    return np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)
