"""What baselines share: popularity, the age of baskets, and the best items of a row of scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from alsobought.evaluation.log import Integers, Names, Purchases
from alsobought.evaluation.tasks import Query

Floats = npt.NDArray[np.float64]
ROWS = 256  # questions that are scored at once: each has a score for every item
RECENT_DAYS = 28
TIE_BREAK = 1e-9


def popularity(past: Purchases, days: float = RECENT_DAYS) -> Floats:
    """Of each item the share of the last days' baskets that hold it."""
    recent = past.lines.part(past.lines.age <= days)
    baskets = len(np.unique(recent.basket))
    return np.bincount(recent.item, minlength=len(past.names.items)) / max(1, baskets)


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
        forbid(scores, part, names)
        for values in scores:
            places = top(values, k)
            lists.append([names.items[place] for place in places if values[place] > -np.inf])
    return lists


def forbid(scores: Floats, queries: Sequence[Query], names: Names) -> None:
    """Nothing that a question forbids can be recommended to it, one row of scores for each."""
    for values, query in zip(scores, queries, strict=True):
        values[[names.item_places[item] for item in query.forbidden if item in names.item_places]] = -np.inf


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
