"""A request → an answer: parameters are checked, the pipe's one query runs, what its list lacks is asked of the fallbacks.

Used by the endpoint, by `alsobought pipe run` and by the cases, so that all three are the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any

import msgspec

from alsobought.errors import AlsoboughtError, PipeBroken
from alsobought.events import STANDARD_TYPES
from alsobought.pipes.fallbacks import Filling, renamed
from alsobought.pipes.header import TOUCHED
from alsobought.pipes.library import Describe, Library, Pipe
from alsobought.pipes.parameters import values
from alsobought.pipes.template import ASKED, CLOCK, mentioned
from alsobought.pipes.validation_cache import Tried, validation_cache_file
from alsobought.serving.cache import Cache
from alsobought.settings import Settings, extra_event_types
from alsobought.storage.results import Column, Rows, Statistics
from alsobought.storage.warehouse import Reader, Warehouse

SAFE_INTEGER = 2**53
WIDE = re.compile(r"Int(64|128|256)|JSON|Dynamic")  # types that may hold a larger one, somewhere within


@dataclass(frozen=True)
class Answer:
    """What a pipe says: columns, and rows as lists in their order. `fallback`: the pipe that answered in its place where it
    had no rows, else None; which pipe gave a row stands in its column `source`.

    `cached`: it was said before, and `statistics` are of that time. `seconds`: how long whoever got it may go on using it
    unasked; 0 where an event may make it out of date. `asked`: every pipe that had a say, also those without rows.
    """

    pipe: Pipe
    fallback: str | None
    meta: list[Column]
    data: list[list[Any]]
    statistics: Statistics
    cached: bool = False
    seconds: float = 0.0
    asked: tuple[Pipe, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The same for answers that say the same: by the same text of the pipe, with the same rows."""
        said = (self.pipe.name, self.pipe.version, self.fallback, self.meta, self.data)
        return blake2b(msgspec.json.encode(said), digest_size=12).hexdigest()

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as JSON shows them: integers beyond 2^53 are strings, since JavaScript would round them."""
        names = [column.name for column in self.meta]
        wide = {column.name for column in self.meta if WIDE.search(column.type)}
        rows = [dict(zip(names, row, strict=True)) for row in self.data]
        for row in rows if wide else ():
            row.update((name, _safe(row[name])) for name in wide)
        return rows


def _safe(value: Any) -> Any:
    if isinstance(value, int) and abs(value) > SAFE_INTEGER:
        return str(value)
    if isinstance(value, list):
        return [_safe(one) for one in value]
    return {name: _safe(one) for name, one in value.items()} if isinstance(value, dict) else value


def open_library(settings: Settings, warehouse: Warehouse) -> Library:
    """The pipes of the project's folder, checked against this warehouse."""
    home = settings.home_folder
    types = (*STANDARD_TYPES, *extra_event_types(settings))
    tried = Tried(validation_cache_file(), lambda: warehouse.version)
    return Library(home / "pipes", home / "sql" / "macros", warehouse.schema, describer(warehouse), types, tried)


def describer(warehouse: Warehouse) -> Describe:
    def describe(sql: str, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(column.name, column.type) for column in warehouse.describe(sql, parameters)]

    return describe


Answers = Cache[Answer]


def answer(
    library: Library,
    warehouse: Reader,
    name: str,
    given: Mapping[str, Sequence[Any]],
    now: datetime,
    cache: Answers | None = None,
    *,
    fresh: bool = False,
) -> Answer:
    """The answer of a pipe, from `cache` if its header allows and `fresh` does not forbid it.

    Raises NoSuchPipe, PipeBroken, BadParameters, TooSlow, WarehouseFault.
    """
    pipe = library[name]
    bound = values(pipe.parameters, given)
    if cache is None or not pipe.header.cache_seconds:
        return _answer(library, warehouse, pipe, bound, now)
    key = (pipe.name, *_versions(library, pipe), repr(bound))
    if not fresh and (found := cache.get(key)):
        return found
    generation = cache.generation
    found = _answer(library, warehouse, pipe, bound, now)
    headers = [one.header for one in found.asked]
    seconds = min(header.cache_seconds for header in headers)
    if seconds and not any(header.cache_until for header in headers):
        found = replace(found, seconds=seconds)
    if seconds:
        cache.put(key, replace(found, cached=True), seconds, _tags(pipe, bound), generation, len(found.data))
    return found


def answer_by(
    library: Library, warehouse: Reader, pipe: Pipe, given: Mapping[str, Sequence[Any]], now: datetime
) -> Answer:
    """The answer of this text of a pipe, whether or not it is the saved one; never a kept one.

    Raises BadParameters, TooSlow, WarehouseFault.
    """
    return _answer(library, warehouse, pipe, values(pipe.parameters, given), now)


def _versions(library: Library, pipe: Pipe) -> list[str]:
    """Of a pipe and of those that it falls back on, as their files are now."""
    versions = {pipe.name: pipe.version}
    while (fallback := pipe.header.fallback) and fallback.pipe not in versions:
        try:
            pipe = library[fallback.pipe]
        except AlsoboughtError:
            break
        versions[pipe.name] = pipe.version
    return list(versions.values())


def _tags(pipe: Pipe, bound: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The things whose events make an answer out of date, as the writer names them: items and people that were asked about."""
    names = [name for name in TOUCHED if name in bound] if pipe.header.cache_until else []
    values_of = {name: bound[name] if isinstance(bound[name], list) else [bound[name]] for name in names}
    return [(name, value) for name in names for value in values_of[name]]


def _answer(library: Library, warehouse: Reader, pipe: Pipe, bound: Mapping[str, Any], now: datetime) -> Answer:
    rows = _run(warehouse, pipe, bound, now, pipe)
    if [column.name for column in rows.meta] != [name for name, _ in pipe.selected]:
        raise PipeBroken(f"the pipe {pipe.name} has other columns with these parameters", "Leave one of them out")
    data = [[*row, pipe.name] for row in rows.data] if pipe.tells_source else rows.data
    found = Answer(pipe, None, [Column(*column) for column in pipe.columns], data, rows.statistics, asked=(pipe,))
    return _filled(library, warehouse, found, bound, now) if pipe.header.fallback else found


def _filled(library: Library, warehouse: Reader, found: Answer, bound: Mapping[str, Any], now: datetime) -> Answer:
    """The answer with what its lists lack from the chain of fallbacks. It stays short where one is broken, and that is true:
    the fault is its own pipe's.
    """
    lists, asked, spent = Filling(found.pipe, bound, found.data), [found.pipe], found.statistics
    names: Mapping[str, str] = {}
    while not lists.full and (fallback := asked[-1].header.fallback) and fallback.pipe not in [p.name for p in asked]:
        try:
            other = library[fallback.pipe]
        except AlsoboughtError:
            break
        names = renamed(fallback, names)
        asked.append(other)
        question = lists.question(other)
        if question is None:
            continue
        with suppress(AlsoboughtError):
            rows = _run(warehouse, other, question, now, found.pipe)
            lists.take(other, [names.get(column.name, column.name) for column in rows.meta], rows.data)
            spent = spent + rows.statistics
    if len(asked) == 1:
        return found
    return replace(found, fallback=lists.instead, data=lists.rows(), statistics=spent, asked=tuple(asked))


def bound_sql(
    pipe: Pipe, bound: Mapping[str, Any], now: datetime, asked: Pipe | None = None
) -> tuple[str, dict[str, Any]]:
    """The pipe's one query for checked parameters, and the values that go with it: those that it mentions.

    `asked`: the pipe whose list this fills, if it is another.
    """
    sql = pipe.sql(bound)
    known = {**bound, CLOCK.name: now, ASKED.name: (asked or pipe).name}
    return sql, mentioned(sql, known)


def _run(warehouse: Reader, pipe: Pipe, bound: Mapping[str, Any], now: datetime, asked: Pipe) -> Rows:
    return warehouse.rows(*bound_sql(pipe, bound, now, asked))
