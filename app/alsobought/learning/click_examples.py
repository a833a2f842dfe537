"""Training examples from what was shown: impressions with their clicks, and the features that the items then had.

Point in time: features are those as of the midnight before the list was made, by the SQL that serves, so that they contain no
event of the impression's day. Lists of a day share them, which makes reading cheap. They are not logged when a list is served:
a log of a thousand candidates for each request would cost more than the request, and lack the features of a later release.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import numpy as np

from alsobought.learning.context import Context

Columns = dict[str, np.ndarray]
Key = tuple[int, int]  # a midnight in seconds since 1970, and the key of an item or a user

DAY_MILLISECONDS = 86_400_000
BATCH_ITEMS = 400
OF_PAIRS = ("item_key", "other_item_key", "times", "decayed")  # columns that are no features
OF_USERS = ("item_key", "bought")
OF_IMPRESSIONS = ("list_key", "item_key", "listed", "position", "clicked", "bought", "explored")


class CandidateCache:
    """Candidates with their features by midnight and key, the latest used; as of a midnight they never change."""

    def __init__(self, most: int = 2 * BATCH_ITEMS) -> None:
        self._most = most
        self._entries: OrderedDict[Key, Columns] = OrderedDict()

    def get(self, key: Key) -> Columns | None:
        if key in self._entries:
            self._entries.move_to_end(key)
        return self._entries.get(key)

    def put(self, key: Key, candidates: Columns) -> None:
        self._entries[key] = candidates
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)


def read_impressions(context: Context, begin: datetime, until: datetime, impressions: int, purchases: bool) -> Columns:
    """The newest impressions of lists for one item or one user, with `anchor_key` (0: for a user), `explored` and `midnight`."""
    window = {"begin": int(begin.timestamp()), "until": int(until.timestamp())}
    shown = context.columns(
        "clicks_impressions", **window, impressions=impressions, purchases=purchases, days=context.attribution_days
    )
    lists = context.columns("clicks_lists", **window)
    explored = context.columns("clicks_explored", **window)
    rows = _find(lists["list_key"], shown["list_key"])
    known = rows >= 0
    shown = {name: values[known] for name, values in shown.items()}
    rows = rows[known]
    shown["anchor_key"] = lists["anchor_key"][rows]
    of_list_and_item = _pair(shown["list_key"], shown["item_key"])
    shown["explored"] = np.isin(of_list_and_item, _pair(explored["list_key"], explored["item_key"]))
    shown["midnight"] = shown["listed"] // DAY_MILLISECONDS * (DAY_MILLISECONDS // 1000)
    used = (shown["anchor_key"] != 0) | (lists["user_key"][rows] != 0)
    return {name: values[used] for name, values in shown.items()}


def item_impressions(context: Context, shown: Columns, items: int, cache: CandidateCache) -> Columns | None:
    """Impressions in lists for an item, with the features of its candidates; of the `items` items and days with the most."""
    part = _part(shown, shown["anchor_key"] != 0)
    groups = _groups(part["midnight"], part["anchor_key"], items)
    parts: list[Columns] = []
    with context.bar("Reading candidates", len(groups), "items") as advance:
        for midnight, keys in _batches(groups):
            candidates = _pair_candidates(context, midnight, keys, cache)
            parts += [_joined(part, groups[midnight, key], candidates[key], "other_item_key", OF_PAIRS) for key in keys]
            advance(len(keys))
    return _together(parts)


def user_impressions(context: Context, shown: Columns, users: int, cache: CandidateCache) -> Columns | None:
    """Impressions in lists for a user, with the features of the user's candidates; of the `users` users and days with the most."""
    part = _part(shown, shown["anchor_key"] == 0)
    groups = _groups(part["midnight"], part["user_key"], users)
    first = min((midnight for midnight, _ in groups), default=0)
    keys = sorted({key for _, key in groups})
    ids = dict(context.rows("clicks_users", begin=first, keys=keys)) if keys else {}
    parts: list[Columns] = []
    with context.bar("Reading users", len(groups), "users") as advance:
        for (midnight, key), rows in groups.items():
            if (candidates := cache.get((midnight, key))) is None and key in ids:
                candidates = context.columns("ranker_person", user=ids[key], begin=midnight, until=midnight)
                cache.put((midnight, key), candidates)
            if candidates is not None:
                parts.append(_joined(part, rows, candidates, "item_key", OF_USERS))
            advance(1)
    return _together(parts)


def _pair_candidates(
    context: Context, midnight: int, keys: Sequence[int], cache: CandidateCache
) -> Mapping[int, Columns]:
    of_keys = {key: candidates for key in keys if (candidates := cache.get((midnight, key))) is not None}
    if missing := [key for key in keys if key not in of_keys]:
        read = context.columns("ranker_pairs", keys=missing, as_of=midnight)
        for key in missing:
            of_keys[key] = _part(read, read["item_key"] == np.uint64(key))
            cache.put((midnight, key), of_keys[key])
    return of_keys


def _joined(shown: Columns, rows: np.ndarray, candidates: Columns, column: str, no_features: Sequence[str]) -> Columns:
    """These impressions, as far as their items are among the candidates, with the features of those."""
    positions = _find(candidates[column], shown["item_key"][rows])
    rows, positions = rows[positions >= 0], positions[positions >= 0]
    features = {name: values[positions] for name, values in candidates.items() if name not in no_features}
    return {name: shown[name][rows] for name in OF_IMPRESSIONS} | features


def _groups(midnights: np.ndarray, keys: np.ndarray, most: int) -> dict[Key, np.ndarray]:
    """The rows of each midnight and key, of those with the most rows."""
    pairs = np.stack([midnights.astype(np.uint64), keys.astype(np.uint64)], axis=1)
    distinct, number, counts = np.unique(pairs, axis=0, return_inverse=True, return_counts=True)
    order = np.argsort(number.ravel(), kind="stable")
    ends = np.cumsum(counts)
    largest = np.argsort(-counts, kind="stable")[:most]
    return {
        (int(distinct[group][0]), int(distinct[group][1])): order[ends[group] - counts[group] : ends[group]]
        for group in largest.tolist()
    }


def _batches(groups: Mapping[Key, np.ndarray]) -> Iterator[tuple[int, list[int]]]:
    """Midnights, each with up to BATCH_ITEMS keys."""
    for midnight in sorted({midnight for midnight, _ in groups}):
        keys = [key for of_day, key in groups if of_day == midnight]
        for start in range(0, len(keys), BATCH_ITEMS):
            yield midnight, keys[start : start + BATCH_ITEMS]


def _together(parts: Sequence[Columns]) -> Columns | None:
    """All parts, the oldest impression first; None without any."""
    if not parts:
        return None
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _part(whole, np.lexsort((whole["item_key"], whole["list_key"], whole["listed"])))


def _part(columns: Columns, rows: np.ndarray) -> Columns:
    return {name: values[rows] for name, values in columns.items()}


def _find(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The index of each wanted key, -1 where there is none.

    >>> _find(np.array([5, 3]), np.array([3, 4, 5])).tolist()
    [1, -1, 0]
    """
    if not len(keys):
        return np.full(len(wanted), -1)
    order = np.argsort(keys, kind="stable")
    rows = order[np.clip(np.searchsorted(keys[order], wanted), 0, len(keys) - 1)]
    return np.where(keys[rows] == wanted, rows, -1)


def _pair(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A key for two keys."""
    return np.asarray(first * np.uint64(0x9E3779B97F4A7C15) ^ second)
