"""Generated tastes, whose probabilities are known.

A user is a mixture of topics, which drifts; a topic is a distribution over items. An item's share of a topic is its affinity to the
topic, times its popularity (a power law), times its freshness, as long as it can be had. The demand for topics has seasons. A
visit has one topic, drawn from the user's mixture of that day, and its items are drawn from that topic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
SEASON_DAYS, SEASON = 60.0, 0.6  # length and strength of the waves of demand


@dataclass(frozen=True)
class Recipe:
    """The size and character of a data set. Days count from its beginning.

    `drift` is the share of a mixture that has moved to another one at the end. `late` is the share of items that arrive after the
    beginning. Popularity beyond the share `evergreen` halves in `fresh_days`.
    """

    users: int
    items: int
    topics: int
    days: int
    drift: float = 0.3
    late: float = 0.0
    fresh_days: float = 14.0
    evergreen: float = 1.0
    popularity: float = 0.8  # exponent of the power law over ranks
    taste: float = 0.15  # concentration of mixtures: the smaller, the fewer topics a user has


@dataclass(frozen=True)
class Tastes:
    """`first` and `last` are the mixtures of users at the beginning and the end, users x topics; `weights` is topics x items."""

    recipe: Recipe
    first: Floats
    last: Floats
    weights: Floats
    arrival: Floats
    topic_of: npt.NDArray[np.int64]
    phase: Floats
    activity: Floats

    def of_users(self, day: float) -> Floats:
        """The probability of each topic in a visit of each user on this day."""
        moved = min(1.0, day / self.recipe.days)
        season = 1 + SEASON * np.sin(2 * np.pi * (day / SEASON_DAYS + self.phase))
        shares = ((1 - moved) * self.first + moved * self.last) * season
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))

    def of_topics(self, day: float, gone: npt.NDArray[np.bool_] | None = None) -> Floats:
        """The probability of each item in a visit with each topic; 0 for those that have not arrived, or are gone."""
        age = day - self.arrival
        fresh = self.recipe.evergreen + (1 - self.recipe.evergreen) * 2 ** (
            -np.maximum(age, 0) / self.recipe.fresh_days
        )
        shares = self.weights * np.where(age >= 0, fresh, 0.0)
        if gone is not None:
            shares = shares * ~gone
        return np.asarray(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-12))


def random_tastes(recipe: Recipe, random: np.random.Generator) -> Tastes:
    mixtures = [random.dirichlet(np.full(recipe.topics, recipe.taste), recipe.users) for _ in range(2)]
    first = mixtures[0] + 1e-3
    last = (1 - recipe.drift) * first + recipe.drift * mixtures[1]
    ranks = random.permutation(recipe.items) + 1
    main = random.integers(recipe.topics, size=recipe.items)
    affinity = random.dirichlet(np.full(recipe.topics, 0.03), recipe.items).T * 0.2 + 1e-4
    affinity[main, np.arange(recipe.items)] += 0.8
    arrives_late = random.random(recipe.items) < recipe.late
    arrival = np.where(
        arrives_late, random.uniform(0, recipe.days, recipe.items), -random.exponential(30, recipe.items)
    )
    return Tastes(
        recipe,
        first / first.sum(axis=1, keepdims=True),
        last / last.sum(axis=1, keepdims=True),
        affinity * ranks**-recipe.popularity,
        arrival,
        main,
        random.random(recipe.topics),
        random.gamma(1.5, 1 / 1.5, recipe.users),
    )


class Choice:
    """Draws of items on one day."""

    def __init__(self, shares: Floats, random: np.random.Generator) -> None:
        self._sums, self._random = np.cumsum(shares, axis=1), random

    def items(self, topic: int, count: int) -> list[int]:
        """Up to `count` different items of a topic, in the order of the draw."""
        sums = self._sums[topic]
        drawn = np.searchsorted(sums, self._random.random(count) * sums[-1], side="right")
        return list(dict.fromkeys(np.minimum(drawn, len(sums) - 1).tolist()))


def drawn_topics(shares: Floats, users: npt.NDArray[np.int64], random: np.random.Generator) -> list[int]:
    """The topic of a visit of each of these users."""
    sums = np.cumsum(shares[users], axis=1)
    return [int(topic) for topic in (sums < random.random((len(users), 1)) * sums[:, -1:]).sum(axis=1)]


class TasteOracle:
    """The true probabilities of the items of a visit, given the items of it that are known.

    Users without a name in `users`, such as guests, have the mean taste. `gone` are the days from which items cannot be had.
    """

    def __init__(
        self, tastes: Tastes, users: Sequence[str], items: Sequence[str], start: datetime, gone: Floats | None = None
    ) -> None:
        self.items, self._tastes, self._start, self._gone = items, tastes, start, gone
        self._user = {name: number for number, name in enumerate(users)}
        self._item = {name: number for number, name in enumerate(items)}
        self._shares = lru_cache(1)(self._shares_at)

    def scores(self, users: Sequence[str], known: Sequence[Sequence[str]], at: datetime) -> npt.NDArray[Any]:
        """The visit's topic is inferred from the known items, by Bayes' rule."""
        of_users, of_topics = self._shares(at)
        topics = np.log(of_users[[self._user.get(user, len(self._user)) for user in users]])
        for row, items in enumerate(known):
            columns = [self._item[item] for item in items if item in self._item]
            topics[row] += np.log(np.maximum(of_topics[:, columns], 1e-12)).sum(axis=1)
        topics = np.exp(topics - topics.max(axis=1, keepdims=True))
        return np.asarray(topics / topics.sum(axis=1, keepdims=True) @ of_topics)

    def _shares_at(self, at: datetime) -> tuple[Floats, Floats]:
        """With a last row for unknown users."""
        day = (at - self._start).total_seconds() / 86_400
        of_users = self._tastes.of_users(day)
        mean = (self._tastes.activity[:, None] * of_users).sum(axis=0, keepdims=True) / self._tastes.activity.sum()
        gone = None if self._gone is None else self._gone <= day
        return np.vstack([of_users, mean]), self._tastes.of_topics(day, gone)
