"""How lists fit what each user did before: their taste for popular items, and for categories.

* popularity lift: mean popularity of the lists / mean popularity of the users' own items, - 1, where an item's popularity is the
  share of users who have it (ΔGAP of Abdollahpouri et al. 2019, arXiv 1907.13286). 0: as popular as what they choose themselves.
* miscalibration: the mean of the Kullback-Leibler divergence Σ_c p(c) ln(p(c) / q̃(c)), p(c) the share of category c in the
  user's items, q(c) in the list, q̃ = .99 q + .01 p (Steck 2018, Calibrated recommendations, RecSys). 0: the same shares.

A user's items count once each. Items without a category count for neither p nor q.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log

import numpy as np

from alsobought.evaluation.log import Integers, Interactions
from alsobought.evaluation.tasks import Query

SMOOTHING = 0.01


@dataclass(frozen=True)
class ProfileMeasures:
    """Over the lists with items of users with a history; None without any, or without categories."""

    popularity_lift: float | None
    miscalibration: float | None


@dataclass(frozen=True)
class Profiles:
    """What each user had before the split. `category` is of an item, "" if it has none."""

    past: Interactions
    category: Callable[[str], str]

    @cached_property
    def _pairs(self) -> tuple[Integers, Integers]:
        """Distinct users and items, in the order of the users."""
        width = max(1, len(self.past.names.items))
        pairs = np.unique(self.past.user * width + self.past.item)
        return pairs // width, pairs % width

    @cached_property
    def users_of_item(self) -> dict[str, int]:
        """The number of users who had each item before."""
        names = self.past.names.items
        counts = np.bincount(self._pairs[1], minlength=len(names)).tolist()
        return {name: count for name, count in zip(names, counts, strict=True) if count}

    @cached_property
    def users(self) -> int:
        return len(np.unique(self.past.user))

    def popularity(self, item: str) -> float:
        return self.users_of_item.get(item, 0) / max(1, self.users)

    def items_of(self, user: str) -> list[str]:
        """The distinct items that a user had before."""
        names, (users, items) = self.past.names, self._pairs
        if (index := names.user_index.get(user)) is None:
            return []
        begin, end = np.searchsorted(users, [index, index + 1])
        return [names.items[item] for item in items[begin:end]]


def profile_measures(
    lists: Sequence[Sequence[str]], queries: Sequence[Query], k: int, profiles: Profiles
) -> ProfileMeasures:
    own_popularity, list_popularity, divergences = [], [], []
    profile_of: dict[str, tuple[float, Mapping[str, float]]] = {}
    for items, query in zip(lists, queries, strict=True):
        if query.user not in profile_of:
            profile_of[query.user] = _profile(profiles.items_of(query.user), profiles)
        own, wanted = profile_of[query.user]
        shown = list(dict.fromkeys(items))[:k]
        if not own or not shown:
            continue
        popularity, offered = _profile(shown, profiles)
        own_popularity.append(own)
        list_popularity.append(popularity)
        if wanted and offered:
            divergences.append(divergence(wanted, offered))
    lift = float(np.mean(list_popularity) / np.mean(own_popularity) - 1) if own_popularity else None
    return ProfileMeasures(lift, float(np.mean(divergences)) if divergences else None)


def divergence(wanted: Mapping[str, float], offered: Mapping[str, float]) -> float:
    """
    >>> divergence({"tea": 1.0}, {"tea": 1.0}), round(divergence({"tea": 1.0}, {"pots": 1.0}), 6)
    (0.0, 4.60517)
    """
    return sum(
        share * log(share / ((1 - SMOOTHING) * offered.get(category, 0.0) + SMOOTHING * share))
        for category, share in wanted.items()
    )


def _profile(items: Sequence[str], profiles: Profiles) -> tuple[float, Mapping[str, float]]:
    """The mean popularity of items, 0 of none, and the shares of their categories."""
    counts = Counter(category for item in items if (category := profiles.category(item)))
    shares = {category: count / counts.total() for category, count in counts.items()}
    return float(np.mean([profiles.popularity(item) for item in items])) if items else 0.0, shares
