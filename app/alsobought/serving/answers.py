"""Answer a request: validate parameters, run the one query, fill short lists from fallbacks.

The HTTP endpoints, through `serving.cached_answers`, `alsobought pipe run` and the pipe tests all
come through here, so that they agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from alsobought.errors import AlsoboughtError, PipeBroken
from alsobought.events import STORED_TYPES
from alsobought.pipes.fallbacks import FilledLists, item_column, rename_columns
from alsobought.pipes.header import Fallback
from alsobought.pipes.library import Describe, Library, Pipe
from alsobought.pipes.sandbox import CLOCK, CONSTANTS, REQUESTED_PIPE
from alsobought.pipes.template import select_values
from alsobought.pipes.validation_cache import ValidationCache, validation_cache_file
from alsobought.serving.answer import Answer
from alsobought.serving.paging import Page, requested_page
from alsobought.serving.segments import SEGMENT, require_possible
from alsobought.settings import Settings, extra_event_types
from alsobought.storage.results import Column, Rows
from alsobought.storage.variants import CatalogueVariants
from alsobought.storage.warehouse import Reader, Warehouse

RunPipe = Callable[[Pipe, Mapping[str, Any], Pipe], Rows]
"""The rows of a pipe itself for validated parameters, and the pipe whose list they fill: itself, or one that falls back on it."""


def open_library(settings: Settings, warehouse: Warehouse, variants: CatalogueVariants | None = None) -> Library:
    """The pipes of the project folder, validated against this warehouse. `variants` forget what changes while it is open."""
    home = settings.home_folder
    types = (*STORED_TYPES, *extra_event_types(settings))
    over = "" if warehouse.database == warehouse.local_database else " over shards"  # where other texts are valid
    cache = ValidationCache(validation_cache_file(), lambda: warehouse.version + over)
    return Library(
        home / "pipes",
        home / "sql" / "macros",
        warehouse.schema,
        describer(warehouse),
        types,
        cache,
        constants={name: getattr(settings, name) for name in CONSTANTS},
        variants=variants or CatalogueVariants(warehouse),
        read_tree=warehouse.syntax_tree,
    )


def describer(warehouse: Warehouse) -> Describe:
    def describe(sql: str, parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
        return [(column.name, column.type) for column in warehouse.describe(sql, parameters)]

    return describe


def answer(library: Library, warehouse: Reader, name: str, raw: Mapping[str, Sequence[Any]], now: datetime) -> Answer:
    """Answer a request to a pipe with unvalidated parameters `raw`. Never uses the cache (`serving.cached_answers`).

    Raises NoSuchPipe, PipeBroken, BadParameters, TooSlow, WarehouseFault.
    """
    return answer_with(library, warehouse, library.answering(name, raw), raw, now)


def answer_with(
    library: Library, warehouse: Reader, pipe: Pipe, raw: Mapping[str, Sequence[Any]], now: datetime
) -> Answer:
    """Answer with this text of a pipe, which need not be the saved one.

    Raises BadParameters, TooSlow, WarehouseFault.
    """
    return answer_page(library, requested_page(pipe, raw), partial(rows_of, warehouse, now))


def answer_page(
    library: Library, page: Page, run: RunPipe, run_fallback: RunPipe | None = None, more: Sequence[str] = ()
) -> Answer:
    """Answer a validated request. `run` gives the rows of the pipe, and those of its fallbacks unless `run_fallback` does.

    `more` are pipes that fill the list after the fallbacks of the pipe itself.
    """
    pipe, bound = page.pipe, page.asked
    rows = run(pipe, bound, pipe)
    if [column.name for column in rows.meta] != [name for name, _ in pipe.selected]:
        raise PipeBroken(
            f"the pipe {pipe.name} returns different columns for this combination of parameters",
            "Leave out one of them",
        )
    data = rows.data
    if together := pipe.header.together:
        index = [name for name, _ in pipe.selected].index(together)
        data = [row[:index] + row[index + 1 :] for row in data]
    if pipe.adds_source:
        data = [[*row, pipe.name] for row in data]
    own = Answer(pipe, None, [Column(*column) for column in pipe.columns], data, rows.statistics, pipes=(pipe,))
    answered = _filled(library, own, bound, run_fallback or run, more) if pipe.header.fallback else own
    return page.of(answered, library.variants)


def with_fallbacks(pipe: Pipe, more: Sequence[str]) -> Pipe:
    """The pipe as it answers if these fill its list, too: a list with fallbacks has a column with the pipe of each row."""
    if not more or pipe.header.fallback:
        return pipe
    return replace(pipe, header=replace(pipe.header, fallback=Fallback(more[0])))


def fallbacks_of(
    library: Library, pipe: Pipe, bound: Mapping[str, Any], more: Sequence[str] = ()
) -> Iterator[tuple[Pipe, Mapping[str, str]]]:
    """The pipes that fill a list of this one, each once, and the names of their columns in its answer.

    They are its own chain of fallbacks, then each of `more` with its chain. A chain ends at a broken pipe.
    """
    seen, item = {pipe.name}, item_column([name for name, _ in pipe.columns])
    own = pipe.header.fallback
    for start in (own, *map(Fallback, more)):
        fallback, names = start, dict[str, str]()
        while fallback and fallback.pipe not in seen:
            try:
                link = library.answering(fallback.pipe, bound)
            except AlsoboughtError:
                break
            if link.name in more and (other := item_column([name for name, _ in link.columns])):
                names = {other: item}
            else:
                names = {**rename_columns(fallback, names)}
            seen.add(link.name)
            yield link, names
            fallback = link.header.fallback


def _filled(library: Library, own: Answer, bound: Mapping[str, Any], run: RunPipe, more: Sequence[str]) -> Answer:
    """The answer with its short lists filled from its fallbacks.

    A list stays short where a fallback is broken: the fault is not that of the requested pipe.
    """
    lists, pipes, statistics = FilledLists(own.pipe, bound, own.data, library.variants), [own.pipe], own.statistics
    if lists.is_full:
        return own
    for other, names in fallbacks_of(library, own.pipe, bound, more):
        pipes.append(other)
        for keys, parameters in lists.requests_for(other):
            with suppress(AlsoboughtError):
                rows = run(other, parameters, own.pipe)
                lists.add(other, keys, [names.get(column.name, column.name) for column in rows.meta], rows.data)
                statistics = statistics + rows.statistics
        if lists.is_full:
            break
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
    available = {**pipe.values_of_query(bound), CLOCK.name: now, REQUESTED_PIPE.name: (requested or pipe).name}
    return sql, select_values(sql, available)


def rows_of(warehouse: Reader, now: datetime, pipe: Pipe, bound: Mapping[str, Any], requested: Pipe) -> Rows:
    """The rows of a pipe itself, from its one query. `requested` is the pipe whose list they fill, if it is a fallback.

    Raises BadParameters for a segment that is misspelt.
    """
    rows = warehouse.rows(*bound_sql(pipe, bound, now, requested))
    if not rows.data and SEGMENT in bound and SEGMENT in pipe.header.groups:
        require_possible(warehouse, bound[SEGMENT])
    return rows
