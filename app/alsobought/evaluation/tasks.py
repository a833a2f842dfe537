"""The queries of each task with their relevant items, from the log after the split.

| task        | one query for                                  | relevant items                               | forbidden items    |
|-------------|------------------------------------------------|----------------------------------------------|--------------------|
| next        | each user active before who buys after         | the items of the first basket after          |                    |
| next-novel  | each of them with a new item in it             | its items that they never bought before      | those bought before|
| window      | as in next                                     | all items bought in the days                 |                    |
| also-bought | each basket after with two items or more       | its items but one, drawn with a fixed seed   | the drawn one,     |
|             |                                                |                                              | which is shown     |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alsobought.evaluation.log import Log, Purchases

NEXT, NOVEL, WINDOW, ALSO_BOUGHT = TASKS = ("next", "next-novel", "window", "also-bought")
NO_ITEMS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Query:
    """One query. `truth` are the relevant items; `shown` is the item on the page, for also-bought.

    `unavailable` are the items that nobody could have at the split: one set for all queries, which pipes know from the catalogue.
    """

    user: str
    truth: frozenset[str]
    forbidden: frozenset[str] = NO_ITEMS
    shown: str = ""
    unavailable: frozenset[str] = NO_ITEMS


def task_queries(log: Log, task: str, seed: int = 1, users: int | None = None) -> list[Query]:
    """The queries of a task in a fixed order; with `users`, those of a random sample of users."""
    queries = _basket_queries(log.future, seed) if task == ALSO_BOUGHT else _user_queries(log, task)
    return queries if users is None else _sample_users(queries, users, seed)


def _user_queries(log: Log, task: str) -> list[Query]:
    names = log.future.names
    bought = _items_by_user(log.past) if task == NOVEL else {}
    relevant = _items_by_user(log.future if task == WINDOW else _first_baskets(log.future))
    queries = []
    for user in sorted(relevant):
        name = names.users[user]
        if name not in log.active:
            continue
        before = frozenset(names.items[item] for item in bought.get(user, ()))
        truth = frozenset(names.items[item] for item in relevant[user]) - before
        if truth:
            queries.append(Query(name, truth, before))
    return queries


def _items_by_user(purchases: Purchases) -> dict[int, set[int]]:
    items: dict[int, set[int]] = {}
    for user, item in zip(purchases.user.tolist(), purchases.item.tolist(), strict=True):
        items.setdefault(user, set()).add(item)
    return items


def _first_baskets(purchases: Purchases) -> Purchases:
    """The lines of the first basket of each user; of simultaneous ones, the first by name."""
    order = np.lexsort((purchases.basket, purchases.time, purchases.user))
    users, positions = np.unique(purchases.user[order], return_index=True)
    first = np.full(len(purchases.names.users), -1)
    first[users] = purchases.basket[order][positions]
    return purchases.part(first[purchases.user] == purchases.basket)


def _basket_queries(purchases: Purchases, seed: int) -> list[Query]:
    names = purchases.names
    baskets: dict[int, set[int]] = {}
    for basket, item in zip(purchases.basket.tolist(), purchases.item.tolist(), strict=True):
        baskets.setdefault(basket, set()).add(item)
    random, queries = np.random.default_rng(seed), []
    for basket in sorted(baskets):
        items = [names.items[item] for item in sorted(baskets[basket])]
        if len(items) >= 2:
            shown = items[random.integers(len(items))]
            truth = frozenset(items) - {shown}
            queries.append(Query(names.baskets[basket][1], truth, frozenset({shown}), shown))
    return queries


def _sample_users(queries: Sequence[Query], users: int, seed: int) -> list[Query]:
    everyone = sorted({query.user for query in queries})
    drawn = np.random.default_rng(seed).permutation(len(everyone))[:users]
    sample = {everyone[index] for index in drawn}
    return [query for query in queries if query.user in sample]
