"""Answer the requests of a running service: from the cache, or by a computation whose answer is cached.

What makes an answer stale is decided here, as tags: the users and items of the request, or ANY_EVENT where a pipe that was
queried names none in its `@cache`. So trending and popular, and lists filled from them, are refreshed about as often as the
writer stores a batch, if somebody asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from alsobought.pipes.header import CACHE_TAGS, Header
from alsobought.pipes.library import Library, Pipe
from alsobought.pipes.parameters import Parameter
from alsobought.serving.answer import Answer, CacheKey
from alsobought.serving.answers import answer_page, fallbacks_of, with_fallbacks
from alsobought.serving.cache import Cache
from alsobought.serving.cached_value import Computed
from alsobought.serving.invalidation import ANY_EVENT, Tag
from alsobought.serving.paging import Page, requested_page
from alsobought.serving.queries import Queries
from alsobought.storage.results import Column, Rows, Statistics

Answers = Cache[Answer]
ARRANGING = frozenset({"diversity", "per_category", "explore"})  # parameters that need the whole list in the query


@dataclass(frozen=True)
class CachedAnswers:
    """`as_of` is the ingest time of the newest event that an answer begun now may contain."""

    library: Library
    queries: Queries
    cache: Answers
    as_of: Callable[[], datetime | None]

    def answer(
        self, name: str, raw: Mapping[str, Sequence[Any]], *, fresh: bool = False, more: Sequence[str] = ()
    ) -> Answer:
        """Answer a request to a pipe with unvalidated parameters `raw`; `more` are pipes that fill its list after its fallbacks.

        Requests that are in flight together share queries. The answer comes from the cache if the pipe's header allows it, and
        never if `fresh`; it is cached in either case.

        Raises NoSuchPipe, PipeBroken, BadParameters, TooSlow, WarehouseFault.
        """
        pipe = with_fallbacks(self.library.answering(name, raw), more)
        page = requested_page(pipe, raw)
        chain = [pipe, *(link for link, _ in fallbacks_of(self.library, pipe, page.bound, more))]
        key = CacheKey(tuple((link.name, link.version) for link in chain), f"{page.bound!r}{page.cursor}{more or ''}")
        cacheable = bool(pipe.header.cache_seconds)
        if cacheable and not fresh and (hit := self.cache.get(key)):
            return hit
        tags = self._tags(pipe, page.bound, [link.header for link in chain])
        compute = partial(self._compute, page, key, more)
        return self.cache.computed(key, tags, compute, fresh=fresh, shared=cacheable)

    def empty(self, name: str, raw: Mapping[str, Sequence[Any]], more: Sequence[str] = ()) -> Answer:
        """The answer to this request without its rows, and without a query. Raises NoSuchPipe, PipeBroken, BadParameters."""
        pipe = with_fallbacks(self.library.answering(name, raw), more)
        requested_page(pipe, raw)
        columns = [Column(*column) for column in pipe.columns]
        return Answer(pipe, None, columns, [], Statistics(0.0, 0, 0), as_of=self.as_of(), pipes=(pipe,))

    def _compute(self, page: Page, key: CacheKey, more: Sequence[str]) -> Computed[Answer]:
        pipe = page.pipe
        as_of = self.as_of()  # first: the answer contains at least that
        result = answer_page(self.library, page, self.queries.rows, self._fallback_rows, more)
        headers = [queried.header for queried in result.pipes]
        seconds = min(header.cache_seconds for header in headers)
        result = replace(result, as_of=as_of, key=key if seconds else None)
        tags = self._tags(pipe, page.bound, headers, _cache_events(pipe, headers))
        size = len(result.json) + len(key.values) if seconds else 0
        return Computed(result, replace(result, cached=True), seconds, tags, size, joint=bool(pipe.shared_by))

    def _fallback_rows(self, pipe: Pipe, bound: Mapping[str, Any], requested: Pipe) -> Rows:
        """The rows of a fallback, which many lists share: as many as it gives, whatever a list has already.

        `FilledLists` leaves out what a list has or excludes. Rows that are arranged for one list are not shared. Late pages need
        more rows than a caller may ask for: lists share those in steps, too.
        """
        if not pipe.header.cache_seconds or not ARRANGING.isdisjoint(bound):
            return self.queries.rows(pipe, bound, requested)
        shared = {name: value for name, value in bound.items() if name != "exclude"}
        if pipe.limit and "limit" in bound:
            shared["limit"] = _shared_limit(pipe.limit, bound["limit"] + len(bound.get("exclude", ())))
        key = CacheKey(((requested.name, ""), (pipe.name, pipe.version)), repr(shared))
        tags = self._tags(pipe, shared, [pipe.header])

        def compute() -> Computed[Answer]:
            rows = self.queries.rows(pipe, shared, requested)
            answer = Answer(pipe, None, rows.meta, rows.data, rows.statistics, pipes=(pipe,))
            return Computed(answer, answer, pipe.header.cache_seconds, tags, len(answer.json) + len(key.values))

        answer = self.cache.part(key, tags, compute)
        return Rows(answer.meta, answer.data, answer.statistics)

    def _tags(
        self, pipe: Pipe, bound: Mapping[str, Any], headers: Sequence[Header], events: Sequence[str] = ()
    ) -> frozenset[Tag]:
        """The items, with their variants, and users of a request; `serving.invalidation` invalidates answers by the same tags.

        With `events`, only events of these types invalidate by the parameter that the header names. `headers` are those of the
        pipes in the answer.
        """
        tags: set[Tag] = set() if all(header.cache_until for header in headers) else {ANY_EVENT}
        for name in [name for name in CACHE_TAGS if name in bound] if pipe.header.cache_until else []:
            values = bound[name] if isinstance(bound[name], list) else [bound[name]]
            narrow = events if name == pipe.header.cache_until else ()
            for value in self.library.variants.with_variants(values) if name == "item_id" else values:
                tags.update([(name, value, event_type) for event_type in narrow] or [(name, value)])
        return frozenset(tags)


def _shared_limit(limit: Parameter, needed: int) -> int:
    """The maximum of `limit`, doubled until it is enough, within its type."""
    shared = max(1, limit.bounds()[1])
    while shared < needed:
        shared *= 2
    return limit.within_type(shared)


def _cache_events(pipe: Pipe, headers: Sequence[Header]) -> Sequence[str]:
    """The event types that invalidate an answer; none if any event does, for this pipe or for one that filled its list."""
    own = (pipe.header.cache_until, pipe.header.cache_events)
    return own[1] if all((h.cache_until, h.cache_events) == own for h in headers if h.cache_until) else ()
