"""Recall by how much is known: of users by the number of their events before the split, or of items by the number of theirs.

For `users`, a slice has the queries of the users with so many events. For `items`, it has the relevant items with so many, and
where an item is shown, the queries that show one with so many.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from alsobought.evaluation.bootstrap import RESAMPLES, Bootstrap, Interval, interval
from alsobought.evaluation.log import Interactions
from alsobought.evaluation.measures import MEASURES, query_measures
from alsobought.evaluation.tasks import SHOWN_TASKS, Query

BOUNDS = (0, 1, 2, 5, 10, 20, 50, 100, 200, 500)  # the last numbers of events of the slices; one more is above
SUBJECTS = USERS, ITEMS = ("users", "items")
RECALL = MEASURES.index("recall")


class Slice(msgspec.Struct, frozen=True):
    """Users or items with `least` to `most` events (None: any number more), and the recall of each system on their queries."""

    least: int
    most: int | None
    queries: int
    recall: dict[str, Interval]


def cold_slices(
    subject: str,
    lists: Mapping[str, Sequence[Sequence[str]]],
    queries: Sequence[Query],
    past: Interactions,
    task: str,
    k: int,
    seed: int,
) -> list[Slice]:
    """The slices with queries, those with the fewest events first."""
    users = _events_of(past.names.users, past.user)
    items = _events_of(past.names.items, past.item)
    slices = []
    for number, most in enumerate((*BOUNDS, None)):
        least = BOUNDS[number - 1] + 1 if number else 0

        def is_in(events: int, least: int = least, most: int | None = most) -> bool:
            return least <= events and (most is None or events <= most)

        part: list[tuple[int, Query]] = []
        for index, query in enumerate(queries):
            if subject == USERS or task in SHOWN_TASKS:
                events = users.get(query.user, 0) if subject == USERS else items.get(query.shown, 0)
                part += [(index, query)] if is_in(events) else []
            elif truth := frozenset(item for item in query.truth if is_in(items.get(item, 0))):
                part.append((index, replace(query, truth=truth)))
        if part:
            slices.append(Slice(least, most, len(part), _recall(lists, part, k, seed)))
    return slices


def _recall(
    lists: Mapping[str, Sequence[Sequence[str]]], part: Sequence[tuple[int, Query]], k: int, seed: int
) -> dict[str, Interval]:
    queries = [query for _, query in part]
    bootstrap = Bootstrap([query.user for query in queries], seed, RESAMPLES)
    intervals = {}
    for name, of_system in lists.items():
        values = query_measures([of_system[index] for index, _ in part], queries, k)[:, [RECALL]]
        intervals[name] = interval(values[:, 0], bootstrap.means(values)[:, 0])
    return intervals


def _events_of(names: Sequence[str], codes: np.ndarray) -> dict[str, int]:
    return dict(zip(names, np.bincount(codes, minlength=len(names)).tolist(), strict=True))
