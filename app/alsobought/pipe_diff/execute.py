"""Execute the same requests on both sides, on the same data and with the same clock, and measure their cost.

A running service may store events meanwhile. So where two answers differ, the side that was executed first is executed
again; if its answer has changed, the pair is repeated.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from alsobought.errors import AlsoboughtError, WarehouseFault
from alsobought.pipe_diff.requests import Request
from alsobought.pipe_diff.sides import Side
from alsobought.serving.answer import Answer
from alsobought.serving.answers import answer
from alsobought.storage.results import Rows
from alsobought.storage.warehouse import Reader

MAX_ATTEMPTS = 3  # for a pair whose data changes


@dataclass(frozen=True)
class Cost:
    """Rows, bytes and query seconds of one answer, its fallbacks included."""

    rows_read: int = 0
    bytes_read: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Response:
    """One side's answer to a request. `lists` by the key of the pipe, or one list under ""; items are distinct."""

    error: str = ""
    rows: Sequence[Mapping[str, Any]] = ()
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    fallback: str = ""
    cost: Cost = Cost()


@dataclass(frozen=True)
class Pair:
    """A request and both responses. Not `steady`: the data changed during every attempt."""

    request: Request
    old: Response
    new: Response
    steady: bool = True

    @property
    def compared(self) -> bool:
        return not self.old.error and not self.new.error


def execute(
    old: Side, new: Side, executor: Executor, requests: Sequence[Request], advance: Callable[[int], None]
) -> list[Pair]:
    """Executes every request on both sides, alternating which is first. Calls `advance` after each pair.

    Raises WarehouseFault if the warehouse becomes unreachable.
    """
    for side in (old, new):
        executor.respond(side, requests[0])  # warm-up: connections and files are opened before anything is timed
    pairs = []
    for index, request in enumerate(requests):
        pairs.append(executor.pair(request, old, new, old_first=index % 2 == 0))
        advance(1)
    return pairs


class _MeteredReader(Reader):
    """Adds up the cost of its reads."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self.cost = Cost()

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        started = time.perf_counter()
        rows = self._inner.rows(sql, parameters)
        seconds, read, cost = time.perf_counter() - started, rows.statistics, self.cost
        self.cost = Cost(cost.rows_read + read.rows_read, cost.bytes_read + read.bytes_read, cost.seconds + seconds)
        return rows


@dataclass(frozen=True)
class Executor:
    """Asks one side or both. `keyed`: rows belong to the list of their key."""

    warehouse: Reader
    name: str
    clock: datetime
    keyed: bool

    def pair(self, request: Request, old: Side, new: Side, old_first: bool) -> Pair:
        first_side, second_side = (old, new) if old_first else (new, old)
        for _ in range(MAX_ATTEMPTS):
            first, second = self.respond(first_side, request), self.respond(second_side, request)
            steady = _equal(first, second) or _equal(first, self.respond(first_side, request))
            if steady:
                break
        return Pair(request, first, second, steady) if old_first else Pair(request, second, first, steady)

    def respond(self, side: Side, request: Request) -> Response:
        if side.pipe is None:
            return Response(error=side.fault)
        reader = _MeteredReader(self.warehouse)
        parameters = {name: values for name, values in request.parameters.items() if side.accepts(name)}
        try:
            result = answer(side.library, reader, self.name, parameters, request.now or self.clock)
        except AlsoboughtError as error:
            if isinstance(error, WarehouseFault):
                self.warehouse.value("select 1")  # raises if the warehouse, not this request, is the cause
            return Response(error=str(error))
        return self._response(result, side, reader.cost)

    def _response(self, result: Answer, side: Side, cost: Cost) -> Response:
        rows, column = result.dicts(), side.item_column
        lists: dict[str, dict[str, None]] = {}
        for row in rows:
            if row[column] is not None:
                lists.setdefault(str(row[side.key]) if self.keyed else "", {})[str(row[column])] = None
        titles = {str(row[column]): str(row["title"]) for row in rows if row.get("title")}
        distinct = {key: list(items) for key, items in lists.items()}
        return Response("", rows, distinct, titles, result.fallback or "", cost)


def _equal(one: Response, other: Response) -> bool:
    return (one.error, one.rows) == (other.error, other.rows)


def unknown_parameters(pairs: Collection[Pair], side: Side) -> dict[str, int]:
    """The parameters that this side does not accept, and the number of requests that have them."""
    counts: dict[str, int] = {}
    for name in (name for pair in pairs for name in pair.request.parameters if not side.accepts(name)):
        counts[name] = counts.get(name, 0) + 1
    return counts
