"""The same requests to two texts of a pipe, on the same data and by the same clock: what each says and what it costs.

What a reader would guess wrong: data may be stored while this runs, beside a service. So where two answers differ, the text
that was asked first is asked again, and if it now says something else, the pair is asked anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from alsobought.errors import AlsoboughtError, NoSuchPipe, Unusable, WarehouseFault
from alsobought.pipe_diff.requests import Request
from alsobought.pipes.fallbacks import shown_in
from alsobought.pipes.library import Library, Pipe
from alsobought.serving.answers import Answer, answer, open_library
from alsobought.settings import Settings
from alsobought.storage.results import Rows
from alsobought.storage.warehouse import Reader, Warehouse

TRIES = 3  # of a pair that something was stored under


@dataclass(frozen=True)
class Cost:
    """Of one answer, its fallbacks included: rows, bytes, and seconds of its queries."""

    rows_read: int = 0
    bytes_read: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Side:
    """One text of a pipe among the other pipes and macros of its time.

    `fault` where the text is broken, `fallback_fault` where that of its fallback is: then an empty answer stays empty.
    """

    label: str
    library: Library
    pipe: Pipe | None
    fault: str
    fallback_fault: str = ""

    def knows(self, parameter: str) -> bool:
        """Whether the text has this parameter; one that is broken says nothing about it."""
        return self.pipe is None or self.pipe.takes(parameter)

    @property
    def shown(self) -> str:
        """The column whose values are the list: the items, else the first one."""
        names = [name for name, _ in self.pipe.columns] if self.pipe else []
        return shown_in(names) or (names[0] if names else "")

    @property
    def key(self) -> str:
        """The column that says which list a row belongs to, if there may be several in an answer."""
        key = self.pipe.header.key if self.pipe else ""
        return key if key != self.shown else ""


@dataclass(frozen=True)
class Said:
    """What one text says to one request. `lists` by the key of the pipe, or one under ""; each has an item once."""

    error: str = ""
    rows: Sequence[Mapping[str, Any]] = ()
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    fallback: str = ""
    cost: Cost = Cost()


@dataclass(frozen=True)
class Pair:
    """A request and both answers. Not `steady`: the data changed under it again and again."""

    request: Request
    old: Said
    new: Said
    steady: bool = True

    @property
    def compared(self) -> bool:
        return not self.old.error and not self.new.error


def side(label: str, folder: Path, warehouse: Warehouse, name: str) -> Side:
    """The pipe of that name in a folder with pipes/ and sql/macros/. Raises Unusable if there is none."""
    library = open_library(Settings(home=str(folder)), warehouse)
    try:
        entry = library.entry(name)
    except NoSuchPipe as error:
        there = ", ".join(library.names()) or "none"
        raise Unusable(
            f"there is no pipe {name} in {label}", f"There are {there}; a new pipe has cases instead"
        ) from error
    fallback = entry.pipe.header.fallback if entry.pipe else None
    return Side(label, library, entry.pipe, _fault(library, name), _fault(library, fallback.pipe) if fallback else "")


def _fault(library: Library, name: str) -> str:
    fault = library.entry(name).fault
    where = f"pipes/{name}.sql" + (f":{fault.line}" if fault and fault.line else "")
    return f"{where}: {fault}" if fault else ""


def replay(
    old: Side,
    new: Side,
    warehouse: Reader,
    name: str,
    requests: Sequence[Request],
    clock: datetime,
    told: Callable[[int], None],
) -> list[Pair]:
    """Asks every request of both texts, the old one first and last by turns. `told` hears of each that is done.

    Raises WarehouseFault if the warehouse goes away.
    """
    shop = _Asking(warehouse, name, clock, keyed=bool(old.key and new.key))
    for one in (old, new):
        shop.ask(one, requests[0])  # connections are made and files read before anything is timed
    pairs = []
    for at, request in enumerate(requests):
        pairs.append(shop.pair(request, old, new, old_first=at % 2 == 0))
        told(1)
    return pairs


class _Metered(Reader):
    """A reader that adds up what its reads cost."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner
        self.cost = Cost()

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        started = time.perf_counter()
        found = self._inner.rows(sql, parameters)
        seconds, read, cost = time.perf_counter() - started, found.statistics, self.cost
        self.cost = Cost(cost.rows_read + read.rows_read, cost.bytes_read + read.bytes_read, cost.seconds + seconds)
        return found


@dataclass(frozen=True)
class _Asking:
    warehouse: Reader
    name: str
    clock: datetime
    keyed: bool

    def pair(self, request: Request, old: Side, new: Side, old_first: bool) -> Pair:
        first, second = (old, new) if old_first else (new, old)
        for _ in range(TRIES):
            one, two = self.ask(first, request), self.ask(second, request)
            steady = _same(one, two) or _same(one, self.ask(first, request))
            if steady:
                break
        return Pair(request, one, two, steady) if old_first else Pair(request, two, one, steady)

    def ask(self, one: Side, request: Request) -> Said:
        if one.pipe is None:
            return Said(error=one.fault)
        metered = _Metered(self.warehouse)
        given = {name: values for name, values in request.parameters.items() if one.knows(name)}
        try:
            found = answer(one.library, metered, self.name, given, request.now or self.clock)
        except AlsoboughtError as error:
            if isinstance(error, WarehouseFault):
                self.warehouse.value("select 1")  # raises if it is not this request's fault
            return Said(error=str(error))
        return self._said(found, one, metered.cost)

    def _said(self, found: Answer, one: Side, cost: Cost) -> Said:
        rows = found.dicts()
        lists: dict[str, dict[str, None]] = {}
        for row in rows:
            if row[one.shown] is not None:
                lists.setdefault(str(row[one.key]) if self.keyed else "", {})[str(row[one.shown])] = None
        titles = {str(row[one.shown]): str(row["title"]) for row in rows if row.get("title")}
        return Said("", rows, {key: list(items) for key, items in lists.items()}, titles, found.fallback or "", cost)


def _same(one: Said, other: Said) -> bool:
    return (one.error, one.rows) == (other.error, other.rows)


def unknown(pairs: Collection[Pair], one: Side) -> dict[str, int]:
    """The parameters that this text does not know, and how many requests gave them."""
    found: dict[str, int] = {}
    for name in (name for pair in pairs for name in pair.request.parameters if not one.knows(name)):
        found[name] = found.get(name, 0) + 1
    return found
