"""Answer a request: validate parameters, run the one query, fill short lists from fallbacks.

The HTTP endpoint, `alsobought pipe run` and the pipe tests all come through here, so that they
agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from alsobought.errors import AlsoboughtError, PipeBroken
from alsobought.events import STANDARD_TYPES
from alsobought.pipes.fallbacks import FilledLists, rename_columns
from alsobought.pipes.header import CACHE_TAGS, Header
from alsobought.pipes.library import Describe, Library, Pipe
from alsobought.pipes.parameters import values
from alsobought.pipes.sandbox import CLOCK, REQUESTED_PIPE
from alsobought.pipes.template import select_values
from alsobought.pipes.validation_cache import ValidationCache, validation_cache_file
from alsobought.serving.answer import Answer, CacheKey
from alsobought.serving.cache import Cache
from alsobought.serving.coalescing import Coalescer
from alsobought.settings import Settings, extra_event_types
from alsobought.storage.results import Column, Rows
from alsobought.storage.warehouse import Reader, Warehouse


def open_library(settings: Settings, warehouse: Warehouse) -> Library:
    """The pipes of the project folder, validated against this warehouse."""
    home = settings.home_folder
    types = (*STANDARD_TYPES, *extra_event_types(settings))
    cache = ValidationCache(validation_cache_file(), lambda: warehouse.version)
    return Library(home / "pipes", home / "sql" / "macros", warehouse.schema, describer(warehouse), types, cache)


def describer(warehouse: Warehouse) -> Describe:
    def describe(sql: str, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(column.name, column.type) for column in warehouse.describe(sql, parameters)]

    return describe


Answers = Cache[Answer]


def answer(
    library: Library,
    warehouse: Reader,
    name: str,
    raw: Mapping[str, Sequence[Any]],
    now: datetime,
    cache: Answers | None = None,
    *,
    fresh: bool = False,
    coalescer: Coalescer | None = None,
) -> Answer:
    """Answer a request to a pipe with unvalidated parameters `raw`.

    Requests that share a `coalescer` and are in flight together share queries. The answer comes from
    `cache` if the pipe's header allows it, and never if `fresh`; it is cached in either case.

    Raises NoSuchPipe, PipeBroken, BadParameters, TooSlow, WarehouseFault.
    """
    pipe = library.answering(name, raw)
    bound = values(pipe.parameters, raw)
    if cache is None or not pipe.header.cache_seconds:
        return _answer(library, warehouse, pipe, bound, now, coalescer)
    key = CacheKey(_versions(library, pipe, bound), repr(bound))
    if not fresh and (hit := cache.get(key)):
        return hit
    tags = _tags(pipe, bound)

    def compute() -> Answer:
        generation = cache.generation
        result = _answer(library, warehouse, pipe, bound, now, coalescer)
        headers = [queried.header for queried in result.pipes]
        seconds = min(header.cache_seconds for header in headers)
        if seconds and not any(header.cache_until for header in headers):
            result = replace(result, max_age=seconds)
        if seconds:
            result = replace(result, key=key)
            narrow = _tags(pipe, bound, _cache_events(pipe, headers))
            cache.put(key, replace(result, cached=True), seconds, narrow, generation, len(result.json))
        return result

    return cache.computed(object() if fresh else key, tags, compute)


def answer_with(
    library: Library, warehouse: Reader, pipe: Pipe, raw: Mapping[str, Sequence[Any]], now: datetime
) -> Answer:
    """Answer with this text of a pipe, which need not be the saved one. Never uses the cache.

    Raises BadParameters, TooSlow, WarehouseFault.
    """
    return _answer(library, warehouse, pipe, values(pipe.parameters, raw), now)


def _versions(library: Library, pipe: Pipe, bound: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The names and current versions of a pipe and of its chain of fallbacks."""
    chain = {pipe.name: pipe.version}
    while (fallback := pipe.header.fallback) and fallback.pipe not in chain:
        try:
            pipe = library.answering(fallback.pipe, bound)
        except AlsoboughtError:
            break
        chain[pipe.name] = pipe.version
    return tuple(chain.items())


def _tags(pipe: Pipe, bound: Mapping[str, Any], events: Sequence[str] = ()) -> list[tuple[str, ...]]:
    """The items and users of a request; `serving.invalidation` drops answers by the same tags.

    With `events`, only events of these types invalidate by the parameter that the header names.
    """
    tags: list[tuple[str, ...]] = []
    for name in [name for name in CACHE_TAGS if name in bound] if pipe.header.cache_until else []:
        for value in bound[name] if isinstance(bound[name], list) else [bound[name]]:
            narrow = events if name == pipe.header.cache_until else ()
            tags += [(name, value, event_type) for event_type in narrow] or [(name, value)]
    return tags


def _cache_events(pipe: Pipe, headers: Sequence[Header]) -> Sequence[str]:
    """The event types that invalidate an answer; none if any event does, for this pipe or for one that filled its list."""
    own = (pipe.header.cache_until, pipe.header.cache_events)
    return own[1] if all((h.cache_until, h.cache_events) == own for h in headers if h.cache_until) else ()


def _answer(
    library: Library,
    warehouse: Reader,
    pipe: Pipe,
    bound: Mapping[str, Any],
    now: datetime,
    coalescer: Coalescer | None = None,
) -> Answer:
    rows = _own_rows(warehouse, pipe, bound, now, coalescer)
    if [column.name for column in rows.meta] != [name for name, _ in pipe.selected]:
        raise PipeBroken(
            f"the pipe {pipe.name} returns different columns for this combination of parameters",
            "Leave out one of them",
        )
    data = [[*row, pipe.name] for row in rows.data] if pipe.adds_source else rows.data
    own = Answer(pipe, None, [Column(*column) for column in pipe.columns], data, rows.statistics, pipes=(pipe,))
    return _filled(library, warehouse, own, bound, now) if pipe.header.fallback else own


def _own_rows(
    warehouse: Reader, pipe: Pipe, bound: Mapping[str, Any], now: datetime, coalescer: Coalescer | None
) -> Rows:
    """The rows of the pipe itself, from a query that other requests may share."""
    key = pipe.header.key
    if coalescer is None or not key:
        return _run(warehouse, pipe, bound, now, pipe)
    group = (pipe.name, pipe.version, repr({name: value for name, value in bound.items() if name != key}))
    return coalescer.rows(group, bound[key], key, lambda keys: _run(warehouse, pipe, {**bound, key: keys}, now, pipe))


def _filled(library: Library, warehouse: Reader, own: Answer, bound: Mapping[str, Any], now: datetime) -> Answer:
    """The answer with its short lists filled from the chain of fallbacks.

    A list stays short where a fallback is broken: the fault is not that of the requested pipe.
    """
    lists, pipes, statistics = FilledLists(own.pipe, bound, own.data), [own.pipe], own.statistics
    names: Mapping[str, str] = {}
    while (
        not lists.is_full and (fallback := pipes[-1].header.fallback) and fallback.pipe not in [p.name for p in pipes]
    ):
        try:
            other = library.answering(fallback.pipe, bound)
        except AlsoboughtError:
            break
        names = rename_columns(fallback, names)
        pipes.append(other)
        for keys, parameters in lists.requests_for(other):
            with suppress(AlsoboughtError):
                rows = _run(warehouse, other, parameters, now, own.pipe)
                lists.add(other, keys, [names.get(column.name, column.name) for column in rows.meta], rows.data)
                statistics = statistics + rows.statistics
    if len(pipes) == 1:
        return own
    return replace(own, fallback=lists.fallback, data=lists.rows(), statistics=statistics, pipes=tuple(pipes))


def bound_sql(
    pipe: Pipe, bound: Mapping[str, Any], now: datetime, requested: Pipe | None = None
) -> tuple[str, dict[str, Any]]:
    """The pipe's one query for validated parameters, and the values of the placeholders in it.

    `requested` is the pipe whose list this one fills, if it runs as a fallback.
    """
    sql = pipe.sql(bound)
    available = {**bound, CLOCK.name: now, REQUESTED_PIPE.name: (requested or pipe).name}
    return sql, select_values(sql, available)


def _run(warehouse: Reader, pipe: Pipe, bound: Mapping[str, Any], now: datetime, requested: Pipe) -> Rows:
    return warehouse.rows(*bound_sql(pipe, bound, now, requested))
