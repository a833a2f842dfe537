"""What is asked and what would be right: the questions of each task, out of the log after the split.

| task        | who is asked about                             | what is right                                | what is forbidden  |
|-------------|------------------------------------------------|----------------------------------------------|--------------------|
| next        | everyone active before who buys after          | the items of the first basket after          |                    |
| next-novel  | those of them who buy something new in it      | its items that they never bought before      | what they bought   |
| window      | as in next                                     | all items of the days                        |                    |
| also-bought | each basket after with two items or more       | its items but one, drawn with a fixed seed   | the drawn one,     |
|             |                                                |                                              | which is shown     |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alsobought.evaluation.log import Log, Purchases

NEXT, NOVEL, WINDOW, ALSO_BOUGHT = TASKS = ("next", "next-novel", "window", "also-bought")
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Query:
    """One question. `shown` is the item on the page, for also-bought; `truth` and `forbidden` are items, too."""

    user: str
    truth: frozenset[str]
    forbidden: frozenset[str] = NOTHING
    shown: str = ""


def queries(log: Log, task: str, seed: int = 1, users: int | None = None) -> list[Query]:
    """The questions of a task in a fixed order; of `users` people, drawn with the seed, if it names a number."""
    made = _also_bought(log.future, seed) if task == ALSO_BOUGHT else _of_users(log, task)
    return made if users is None else _of_some(made, users, seed)


def _of_users(log: Log, task: str) -> list[Query]:
    names = log.future.names
    bought = _by_user(log.past) if task == NOVEL else {}
    right = _by_user(log.future if task == WINDOW else _first_baskets(log.future))
    made = []
    for user in sorted(right):
        name = names.users[user]
        if name not in log.active:
            continue
        before = frozenset(names.items[item] for item in bought.get(user, ()))
        truth = frozenset(names.items[item] for item in right[user]) - before
        if truth:
            made.append(Query(name, truth, before))
    return made


def _by_user(purchases: Purchases) -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for user, item in zip(purchases.user.tolist(), purchases.item.tolist(), strict=True):
        found.setdefault(user, set()).add(item)
    return found


def _first_baskets(purchases: Purchases) -> Purchases:
    """Of each user the lines of the basket that began first; of two that began together, the one first by name."""
    order = np.lexsort((purchases.basket, purchases.time, purchases.user))
    users, places = np.unique(purchases.user[order], return_index=True)
    first = np.full(len(purchases.names.users), -1)
    first[users] = purchases.basket[order][places]
    return purchases.part(first[purchases.user] == purchases.basket)


def _also_bought(purchases: Purchases, seed: int) -> list[Query]:
    names = purchases.names
    baskets: dict[int, set[int]] = {}
    for basket, item in zip(purchases.basket.tolist(), purchases.item.tolist(), strict=True):
        baskets.setdefault(basket, set()).add(item)
    random, made = np.random.default_rng(seed), []
    for basket in sorted(baskets):
        items = [names.items[item] for item in sorted(baskets[basket])]
        if len(items) >= 2:
            shown = items[random.integers(len(items))]
            truth = frozenset(items) - {shown}
            made.append(Query(names.baskets[basket][1], truth, frozenset({shown}), shown))
    return made


def _of_some(made: Sequence[Query], users: int, seed: int) -> list[Query]:
    everyone = sorted({query.user for query in made})
    drawn = np.random.default_rng(seed).permutation(len(everyone))[:users]
    chosen = {everyone[place] for place in drawn}
    return [query for query in made if query.user in chosen]
