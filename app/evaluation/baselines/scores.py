"""What baselines share: purchases as sparse matrices, and the best items of a row of scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from app.evaluation.log import Integers, Names, Purchases
from app.evaluation.tasks import Query

Floats = npt.NDArray[np.float64]
Matrix = Any  # a scipy.sparse.csr_matrix; scipy says nothing about its types
ROWS = 256  # questions that are scored at once: each has a score for every item
RECENT_DAYS = 28
TIE_BREAK = 1e-9


def popularity(past: Purchases, days: float = RECENT_DAYS) -> Floats:
    """Of each item the share of the last days' baskets that hold it."""
    recent = past.lines.part(past.lines.age <= days)
    baskets = len(np.unique(recent.basket))
    return np.bincount(recent.item, minlength=len(past.names.items)) / max(1, baskets)


def matrix(rows: Integers, columns: Integers, values: Floats, shape: tuple[int, int]) -> Matrix:
    """Equal places are added up."""
    return sparse.csr_matrix((values, (rows, columns)), shape=shape)


def of_users(past: Purchases, values: Floats) -> Matrix:
    """users x items of these values, one for each of `past.lines`."""
    return matrix(past.lines.user, past.lines.item, values, (len(past.names.users), len(past.names.items)))


def of_baskets(past: Purchases, values: Floats | None = None) -> Matrix:
    """baskets x items, 1 in each place or these values."""
    lines = past.lines
    given = np.ones(len(lines)) if values is None else values
    return matrix(lines.basket, lines.item, given, (len(past.names.baskets), len(past.names.items)))


def baskets_ago(past: Purchases) -> Floats:
    """Of each of `past.lines` how many baskets its user has begun since: 0 in the latest. Of two at once the one named later is."""
    lines, count = past.lines, len(past.names.baskets)
    baskets, first = np.unique(lines.basket, return_index=True)  # lines are in the order of time
    users = lines.user[first]
    order = np.lexsort((baskets, lines.time[first], users))
    last = np.searchsorted(users[order], users[order], side="right") - 1
    ago = np.zeros(count)
    ago[baskets[order]] = last - np.arange(len(order))
    return ago[lines.basket]


def shares(scores: Matrix) -> Matrix:
    """Rows that sum to one."""
    return sparse.diags(1 / np.maximum(np.asarray(scores.sum(axis=1)).ravel(), 1e-12)) @ scores


def unit(scores: Matrix) -> Matrix:
    """Rows of length one."""
    lengths = np.sqrt(np.asarray(scores.multiply(scores).sum(axis=1)).ravel())
    return sparse.diags(1 / np.maximum(lengths, 1e-12)) @ scores


def best(
    queries: Sequence[Query], k: int, past: Purchases, score: Callable[[Sequence[Query]], Floats]
) -> list[list[str]]:
    """The k items with the highest scores, of those that were sold before and are not forbidden.

    `score` gives questions x items, which may be changed here. Of equal scores the item first by name is first.
    """
    names, lists = past.names, []
    unsold = np.bincount(past.item, minlength=len(names.items)) == 0
    for part in pieces(queries, ROWS):
        scores = score(part)
        scores[:, unsold] = -np.inf
        for values, query in zip(scores, part, strict=True):
            values[[names.item_places[item] for item in query.forbidden if item in names.item_places]] = -np.inf
            places = top(values, k)
            lists.append([names.items[place] for place in places if values[place] > -np.inf])
    return lists


def top(values: Floats, k: int) -> Integers:
    """The places of the k highest values, the highest first."""
    k = min(k, len(values))
    places = np.argpartition(-values, k - 1)[:k]
    return places[np.lexsort((places, -values[places]))]


def pieces(queries: Sequence[Query], size: int) -> Iterator[Sequence[Query]]:
    for at in range(0, len(queries), size):
        yield queries[at : at + size]


def user_rows(queries: Sequence[Query], names: Names) -> Integers:
    """The places of those who ask; of somebody who never bought anything the place behind the last."""
    return np.asarray([names.user_places.get(query.user, len(names.users)) for query in queries], dtype=np.int64)


def shown_rows(queries: Sequence[Query], names: Names) -> Integers:
    """The same of the items shown."""
    return np.asarray([names.item_places.get(query.shown, len(names.items)) for query in queries], dtype=np.int64)


def with_stranger(scores: Matrix) -> Matrix:
    """One more row, of nothing."""
    return sparse.vstack([scores, sparse.csr_matrix((1, scores.shape[1]))], format="csr")
