"""Coalescing: requests of one `@key` pipe that are in flight together become one query over all their keys.

A query costs mostly its analysis, so that one over sixteen keys costs a third of sixteen. A lone request never waits: only while
QUERIES of its group run do others join the next one. If a joint query fails, each request runs alone, so that one key spoils no
other.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import msgspec

from alsobought.errors import AlsoboughtError
from alsobought.storage.results import Rows

QUERIES = 1  # of one group at the same time
MAX_KEYS = 64
Query = Callable[[list[Any]], Rows]


@dataclass(eq=False)
class Request:
    """A request that waits. Its `outcome` is its rows, or the requests that it has to run, itself among them."""

    keys: Sequence[Any]
    outcome: Future[Rows | list[Request]] = field(default_factory=Future)


@dataclass
class Group:
    """Requests that differ in their keys only."""

    running: int = 0
    waiting: deque[Request] = field(default_factory=deque)


class Coalescer:
    """Thread-safe."""

    def __init__(self) -> None:
        self._groups: dict[Hashable, Group] = {}
        self._lock = threading.Lock()

    def rows(self, group: Hashable, keys: Sequence[Any], key_column: str, query: Query) -> Rows:
        """The rows of these keys. `query` returns those of any keys of this group, each row with its key in `key_column`."""
        mine = Request(keys)
        with self._lock:
            state = self._groups.setdefault(group, Group())
            if state.running < QUERIES:
                state.running += 1
                mine.outcome.set_result([mine])
            else:
                state.waiting.append(mine)
        outcome = mine.outcome.result()
        if isinstance(outcome, Rows):
            return outcome
        try:
            return self._run(group, outcome, key_column, query)
        finally:
            self._hand_over(group)

    def _run(self, group: Hashable, batch: list[Request], key_column: str, query: Query) -> Rows:
        """Run one query for a batch, give the others their rows, and return those of the first."""
        mine, others = batch[0], batch[1:]
        if not others:
            return query(list(mine.keys))
        try:
            rows = query(list(dict.fromkeys(key for request in batch for key in request.keys)))
            index = [column.name for column in rows.meta].index(key_column)
        except AlsoboughtError:
            with self._lock:
                self._groups[group].running += len(others)
            for request in others:
                request.outcome.set_result([request])
            return query(list(mine.keys))
        except BaseException as error:
            for request in others:
                request.outcome.set_exception(error)
            raise
        for request in others:
            request.outcome.set_result(_share(rows, index, request.keys))
        return _share(rows, index, mine.keys)

    def _hand_over(self, group: Hashable) -> None:
        """Let the first waiting request run the next query, for those behind it as well."""
        with self._lock:
            state = self._groups[group]
            batch: list[Request] = []
            size = 0
            while state.waiting and (not batch or size + len(state.waiting[0].keys) <= MAX_KEYS):
                batch.append(state.waiting.popleft())
                size += len(batch[-1].keys)
            if batch:
                batch[0].outcome.set_result(batch)
                return
            state.running -= 1
            if not state.running:
                del self._groups[group]


def _share(rows: Rows, index: int, keys: Sequence[Any]) -> Rows:
    """The rows of some keys, in their order. The statistics are those of the joint query."""
    wanted = set(keys)
    return msgspec.structs.replace(rows, data=[row for row in rows.data if row[index] in wanted])
