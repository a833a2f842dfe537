"""The queries of each task with their relevant items, from the events of one type after the split.

| task         | one query for                                  | relevant items                             | forbidden items    |
|--------------|------------------------------------------------|--------------------------------------------|--------------------|
| next         | each user active before with an event after    | the items of the first basket after        |                    |
| next-novel   | each of them with a new item in it             | its items that they did not have before    | those had before   |
| window       | as in next                                     | all items of the days                      |                    |
| also-bought  | each basket after with two items or more       | its items but one, drawn with a fixed seed | the drawn one,     |
|              |                                                |                                            | which is shown     |
| also-seen    | each user with two items or more in the days   | their items but one, drawn                 | the same           |
| session-next | each basket after with two items or more       | the item after the first ones, as many as  | the first ones, of |
|              |                                                | is drawn                                   | which the last is  |
|              |                                                |                                            | shown              |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alsobought.evaluation.log import Integers, Interactions, Log

USER_TASKS = NEXT, NOVEL, WINDOW = ("next", "next-novel", "window")
SHOWN_TASKS = ALSO_BOUGHT, ALSO_SEEN, SESSION_NEXT = ("also-bought", "also-seen", "session-next")
TASKS = USER_TASKS + SHOWN_TASKS
NO_ITEMS: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Query:
    """One query. `truth` are the relevant items.

    In SHOWN_TASKS, `shown` is the item on the page, and `before` are those of the session before it, the latest last. `unavailable`
    are the items that nobody could have at the split: one set for all queries, which pipes know from the catalogue.
    """

    user: str
    truth: frozenset[str]
    forbidden: frozenset[str] = NO_ITEMS
    shown: str = ""
    before: tuple[str, ...] = ()
    unavailable: frozenset[str] = NO_ITEMS


def task_queries(log: Log, task: str, seed: int = 1, users: int | None = None) -> list[Query]:
    """The queries of a task in a fixed order; with `users`, those of a random sample of users."""
    if task == SESSION_NEXT:
        queries = _session_queries(log.future, seed)
    elif task == ALSO_SEEN:
        owners = [(user, user) for user in log.future.names.users]
        queries = _rest_queries(log.future, log.future.user, owners, seed)
    elif task == ALSO_BOUGHT:
        queries = _rest_queries(log.future, log.future.basket, log.future.names.baskets, seed)
    else:
        queries = _user_queries(log, task)
    return queries if users is None else _sample_users(queries, users, seed)


def _user_queries(log: Log, task: str) -> list[Query]:
    names = log.future.names
    had = _items_by(log.past.user, log.past.item) if task == NOVEL else {}
    future = log.future if task == WINDOW else _first_baskets(log.future)
    relevant = _items_by(future.user, future.item)
    queries = []
    for user in sorted(relevant):
        name = names.users[user]
        if name not in log.active:
            continue
        before = frozenset(names.items[item] for item in had.get(user, ()))
        truth = frozenset(names.items[item] for item in relevant[user]) - before
        if truth:
            queries.append(Query(name, truth, before))
    return queries


def _items_by(group: Integers, item: Integers) -> dict[int, dict[int, None]]:
    """The distinct items of each group in the order of their first events."""
    items: dict[int, dict[int, None]] = {}
    for key, member in zip(group.tolist(), item.tolist(), strict=True):
        items.setdefault(key, {})[member] = None
    return items


def _first_baskets(events: Interactions) -> Interactions:
    """The lines of the first basket of each user; of simultaneous ones, the first by name."""
    order = np.lexsort((events.basket, events.time, events.user))
    users, positions = np.unique(events.user[order], return_index=True)
    first = np.full(len(events.names.users), -1)
    first[users] = events.basket[order][positions]
    return events.part(first[events.user] == events.basket)


def _rest_queries(events: Interactions, group: Integers, names: Sequence[tuple[str, str]], seed: int) -> list[Query]:
    """One drawn item of each group is shown. `names` has the name and user of each group."""
    random, queries = np.random.default_rng(seed), []
    members = _items_by(group, events.item)
    for index in sorted(members):
        items = [events.names.items[item] for item in sorted(members[index])]
        if len(items) >= 2:
            shown = items[random.integers(len(items))]
            queries.append(Query(names[index][1], frozenset(items) - {shown}, frozenset({shown}), shown))
    return queries


def _session_queries(events: Interactions, seed: int) -> list[Query]:
    """The first items of each basket are known, at least one; the next one is to be found. An item counts where it is first."""
    random, queries = np.random.default_rng(seed), []
    members = _items_by(events.basket, events.item)
    for index in sorted(members):
        items = [events.names.items[item] for item in members[index]]
        if len(items) >= 2:
            known = items[: random.integers(1, len(items))]
            following = frozenset({items[len(known)]})
            user = events.names.baskets[index][1]
            queries.append(Query(user, following, frozenset(known), known[-1], tuple(known[:-1])))
    return queries


def _sample_users(queries: Sequence[Query], users: int, seed: int) -> list[Query]:
    everyone = sorted({query.user for query in queries})
    drawn = np.random.default_rng(seed).permutation(len(everyone))[:users]
    sample = {everyone[index] for index in drawn}
    return [query for query in queries if query.user in sample]
