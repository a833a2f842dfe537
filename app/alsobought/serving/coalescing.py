"""Coalescing: requests of one `@key` pipe that are in flight together become one query over all their keys.

A query costs mostly its analysis, so that one over sixteen keys costs a third of sixteen. A lone request never waits: others join
the next query while LEADERS of their group run, or while those wait for a slot (`serving.query_slots`). If a joint query fails,
each request runs alone, so that one key spoils no other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial
from queue import SimpleQueue
from typing import Any, cast

import msgspec

from alsobought.errors import AlsoboughtError
from alsobought.serving.query_slots import QuerySlots
from alsobought.storage.results import Rows

MAX_KEYS = 64
LEADERS = 2  # queries of a group at the same time: a request waits for one core, not for all
Query = Callable[[list[Any]], Rows]


class Task(Enum):
    """What a request has to do itself: run the next query of its group, or one for its own keys."""

    JOINT = auto()
    ALONE = auto()


Outcome = Rows | Task | BaseException


@dataclass(eq=False)
class Request:
    """A request that waits for its rows, or to be told what to run."""

    keys: Sequence[Any]
    outcome: SimpleQueue[Outcome] = field(default_factory=SimpleQueue)
    """Whoever waits for it is woken once: a Future would wake it twice, which costs more than its rows."""
    leads: bool = False

    def lead(self) -> None:
        self.leads = True
        self.outcome.put(Task.JOINT)


class Coalescer:
    """Thread-safe. A group are requests that differ in their keys only; at most LEADERS joint queries of it run."""

    def __init__(self, slots: QuerySlots) -> None:
        self._slots = slots
        self._waiting: dict[Hashable, deque[Request]] = {}
        self._leaders: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def rows(
        self,
        group: Hashable,
        keys: Sequence[Any],
        key_column: str,
        query: Query,
        *,
        pipe: str = "",
        background: bool = False,
    ) -> Rows:
        """The rows of these keys. `query` returns those of any keys of this group, each row with its key in `key_column`.

        The requested `pipe` is the one whose turn the query takes. Requests in the `background` share queries with each other only.
        """
        slot = partial(self._slots.taken, pipe, background=background)
        group = (group, background)
        mine = Request(keys)
        with self._lock:
            self._waiting.setdefault(group, deque()).append(mine)
            if self._leaders.get(group, 0) < LEADERS:
                self._leaders[group] = self._leaders.get(group, 0) + 1
                mine.lead()
        outcome = mine.outcome.get()
        if outcome is Task.JOINT:
            outcome = self._lead(group, mine, key_column, query, slot)
        if outcome is Task.ALONE:
            with slot():
                return query(list(mine.keys))
        if isinstance(outcome, BaseException):
            raise outcome
        return cast(Rows, outcome)

    def _lead(
        self,
        group: Hashable,
        mine: Request,
        key_column: str,
        query: Query,
        slot: Callable[[], AbstractContextManager[None]],
    ) -> Outcome:
        """Run a query for the requests that wait, unless another leader has taken this one by now."""
        try:
            with slot():
                batch = self._next_batch(group, mine)
                if batch:
                    self._joint(batch, key_column, query)
        finally:
            self._hand_over(group)
        return mine.outcome.get()

    def _next_batch(self, group: Hashable, leader: Request) -> list[Request]:
        """Those that wait longest and the leader, up to MAX_KEYS keys; none if the leader waits no more."""
        with self._lock:
            waiting = self._waiting[group]
            if leader not in waiting:
                return []
            batch, size = list[Request](), len(leader.keys)
            while waiting and (waiting[0] is leader or size + len(waiting[0].keys) <= MAX_KEYS):
                batch.append(waiting.popleft())
                size += len(batch[-1].keys) if batch[-1] is not leader else 0
            if leader not in batch:
                waiting.remove(leader)
                batch.append(leader)
            return batch

    def _joint(self, batch: list[Request], key_column: str, query: Query) -> None:
        """Run one query for a batch, and give each request its rows, or its error."""
        try:
            rows = query(list(dict.fromkeys(key for request in batch for key in request.keys)))
            lists = _Lists(rows, key_column) if len(batch) > 1 else None
        except BaseException as error:
            retried = len(batch) > 1 and isinstance(error, AlsoboughtError)
            for request in batch:
                request.outcome.put(Task.ALONE if retried else error)
        else:
            for request in batch:
                request.outcome.put(lists.of(request.keys) if lists else rows)

    def _hand_over(self, group: Hashable) -> None:
        """Let the first waiting request lead the next query that does not lead already."""
        with self._lock:
            following = next((request for request in self._waiting[group] if not request.leads), None)
            if following:
                following.lead()
            else:
                self._leaders[group] -= 1
                if not self._leaders[group]:
                    del self._waiting[group], self._leaders[group]


class _Lists:
    """The rows of a joint query by key."""

    def __init__(self, rows: Rows, key_column: str) -> None:
        self._rows = rows
        self._index = [column.name for column in rows.meta].index(key_column)
        self._of_key: dict[Any, list[list[Any]]] = {}
        for row in rows.data:
            self._of_key.setdefault(row[self._index], []).append(row)

    def of(self, keys: Sequence[Any]) -> Rows:
        """In the order of the query. The statistics are those of the whole query."""
        several = len(keys) > 1
        data = (
            [row for row in self._rows.data if row[self._index] in keys] if several else self._of_key.get(keys[0], [])
        )
        return msgspec.structs.replace(self._rows, data=data)
