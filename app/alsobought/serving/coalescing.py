"""Coalescing: requests of one `@key` pipe that are in flight together become one query over all their keys.

A query costs mostly its analysis, so that one over sixteen keys costs a third of sixteen. A lone request never waits: others join
the next query while one of their group runs, or while that one waits for a slot (`serving.query_slots`). If a joint query fails,
each request runs alone, so that one key spoils no other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import msgspec

from alsobought.errors import AlsoboughtError
from alsobought.serving.query_slots import QuerySlots
from alsobought.storage.results import Rows

MAX_KEYS = 64
Query = Callable[[list[Any]], Rows]


class Task(Enum):
    """What a request has to do itself: run the next query of its group, or one for its own keys."""

    JOINT = auto()
    ALONE = auto()


@dataclass(eq=False)
class Request:
    """A request that waits for its rows, or to be told what to run."""

    keys: Sequence[Any]
    outcome: Future[Rows | Task] = field(default_factory=Future)


class Coalescer:
    """Thread-safe. A group are requests that differ in their keys only; at most one joint query of it runs."""

    def __init__(self, slots: QuerySlots) -> None:
        self._slots = slots
        self._waiting: dict[Hashable, deque[Request]] = {}
        self._lock = threading.Lock()

    def rows(
        self, group: Hashable, keys: Sequence[Any], key_column: str, query: Query, *, background: bool = False
    ) -> Rows:
        """The rows of these keys. `query` returns those of any keys of this group, each row with its key in `key_column`.

        Requests in the `background` share queries with each other only.
        """
        group = (group, background)
        mine = Request(keys)
        with self._lock:
            if group not in self._waiting:
                self._waiting[group] = deque()
                mine.outcome.set_result(Task.JOINT)
            self._waiting[group].append(mine)
        outcome = mine.outcome.result()
        if isinstance(outcome, Rows):
            return outcome
        if outcome is Task.ALONE:
            return self._alone(mine, query, background)
        try:
            with self._slots.taken(background=background):
                return self._joint(self._next_batch(group), key_column, query)
        except _JointQueryFailed:
            return self._alone(mine, query, background)
        finally:
            self._hand_over(group)

    def _alone(self, request: Request, query: Query, background: bool) -> Rows:
        with self._slots.taken(background=background):
            return query(list(request.keys))

    def _next_batch(self, group: Hashable) -> list[Request]:
        """The request that leads and those behind it, up to MAX_KEYS keys."""
        with self._lock:
            waiting = self._waiting[group]
            batch = [waiting.popleft()]
            size = len(batch[0].keys)
            while waiting and size + len(waiting[0].keys) <= MAX_KEYS:
                batch.append(waiting.popleft())
                size += len(batch[-1].keys)
            return batch

    def _joint(self, batch: list[Request], key_column: str, query: Query) -> Rows:
        """Run one query for a batch, give the others their rows, and return those of the first."""
        mine, others = batch[0], batch[1:]
        if not others:
            return query(list(mine.keys))
        try:
            rows = query(list(dict.fromkeys(key for request in batch for key in request.keys)))
            lists = _Lists(rows, key_column)
        except AlsoboughtError as error:
            for request in others:
                request.outcome.set_result(Task.ALONE)
            raise _JointQueryFailed from error
        except BaseException as error:
            for request in others:
                request.outcome.set_exception(error)
            raise
        for request in others:
            request.outcome.set_result(lists.of(request.keys))
        return lists.of(mine.keys)

    def _hand_over(self, group: Hashable) -> None:
        """Let the first waiting request lead the next query."""
        with self._lock:
            if self._waiting[group]:
                self._waiting[group][0].outcome.set_result(Task.JOINT)
            else:
                del self._waiting[group]


class _JointQueryFailed(Exception):
    pass


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
