"""Popularity, the age of baskets, and the best items by score, shared by the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from alsobought.evaluation.log import Integers, Interactions, Names
from alsobought.evaluation.tasks import Query

Floats = npt.NDArray[np.float64]
BATCH_SCORES = 1_000_000  # of a batch, for every item; larger arrays are mapped anew each time, which takes longer
BATCH_QUERIES = 256
RECENT_DAYS = 28
TIE_BREAK = 1e-9


def popularity(past: Interactions, days: float = RECENT_DAYS) -> Floats:
    """For each item the share of baskets of the last days that contain it."""
    recent = past.lines.part(past.lines.age <= days)
    baskets = len(np.unique(recent.basket))
    return np.bincount(recent.item, minlength=len(past.names.items)) / max(1, baskets)


def baskets_ago(past: Interactions) -> Floats:
    """For each of `past.lines` the number of later baskets of its user. Simultaneous baskets are ordered by name."""
    lines, count = past.lines, len(past.names.baskets)
    baskets, first = np.unique(lines.basket, return_index=True)  # lines are in the order of time
    users = lines.user[first]
    order = np.lexsort((baskets, lines.time[first], users))
    last = np.searchsorted(users[order], users[order], side="right") - 1
    ago = np.zeros(count)
    ago[baskets[order]] = last - np.arange(len(order))
    return ago[lines.basket]


def best(
    queries: Sequence[Query], k: int, past: Interactions, score: Callable[[Sequence[Query]], Floats]
) -> list[list[str]]:
    """The k items with the highest scores, among those sold before and not forbidden.

    `score` returns a new array of queries x items. Equal scores are ordered by name.
    """
    names, lists = past.names, []
    unsold = np.bincount(past.item, minlength=len(names.items)) == 0
    for batch in batches(queries, len(names.items)):
        scores = score(batch)
        scores[:, unsold] = -np.inf
        forbid(scores, batch, names)
        for values in scores:
            indexes = top(values, k)
            lists.append([names.items[index] for index in indexes if values[index] > -np.inf])
    return lists


def forbid(scores: Floats, queries: Sequence[Query], names: Names) -> None:
    """Sets the scores of forbidden and unavailable items to -inf; one row per query."""
    if unavailable := queries[0].unavailable if queries else None:
        scores[:, [names.item_index[item] for item in unavailable if item in names.item_index]] = -np.inf
    for values, query in zip(scores, queries, strict=True):
        values[[names.item_index[item] for item in query.forbidden if item in names.item_index]] = -np.inf


def top(values: Floats, k: int) -> Integers:
    """The indexes of the k highest values, the highest first."""
    k = min(k, len(values))
    indexes = np.argpartition(-values, k - 1)[:k]
    return indexes[np.lexsort((indexes, -values[indexes]))]


def batches(queries: Sequence[Query], items: int) -> Iterator[Sequence[Query]]:
    """As many queries at a time as BATCH_SCORES allows."""
    size = max(1, min(BATCH_QUERIES, BATCH_SCORES // max(1, items)))
    for start in range(0, len(queries), size):
        yield queries[start : start + size]


def user_rows(queries: Sequence[Query], names: Names) -> Integers:
    """The index of each query's user; for an unknown user, the index after the last."""
    return np.asarray([names.user_index.get(query.user, len(names.users)) for query in queries], dtype=np.int64)


def shown_rows(queries: Sequence[Query], names: Names) -> Integers:
    """The index of each query's shown item; for an unknown item, the index after the last."""
    return np.asarray([names.item_index.get(query.shown, len(names.items)) for query in queries], dtype=np.int64)
