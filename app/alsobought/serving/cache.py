"""Cache answers, and refresh them behind a stale one. A header sets the time, and what makes an answer stale earlier:

    -- @cache 60s item_id      60 seconds, or until an event of that item is stored
    -- @cache 500ms            half a second, or until any event is stored

A stale answer is still served while one background computation refreshes it, but never past its deadline: no answer is older
than MAX_STALENESS_SECONDS after the acceptance of an event that concerns it. From then on callers wait for a computation.
Callers that wait for the same answer share one. Nothing begun before an invalidation outlives the deadline of that one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Set
from functools import partial
from typing import Generic, Protocol, TypeVar

from alsobought.errors import AlsoboughtError
from alsobought.serving.cached_value import CacheCounts, CachedValue, Compute, Computed, Flight
from alsobought.serving.failures import Failures
from alsobought.serving.invalidations import AT_ONCE, NEVER, Invalidations

log = logging.getLogger(__name__)

T = TypeVar("T")
MAX_STALENESS_SECONDS = 1.0
MARGIN_SECONDS = 0.1  # for the way of an answer from here to its caller
MAX_ANSWER_BYTES = 256_000
TAG_BYTES = 200  # what a tag takes in the index; a request may have a thousand
SWEEP_SECONDS = 10.0


def stale_until(since: float | None) -> float:
    """The deadline of an answer that is stale since this monotonic time; without one it is dropped at once."""
    return AT_ONCE if since is None else since + MAX_STALENESS_SECONDS - MARGIN_SECONDS


class Submit(Protocol):
    """Runs a refresh in the background, soon; False if it cannot (`serving.refresher`)."""

    def __call__(self, run: Callable[[], None], /, *, joint: bool) -> bool: ...


def never(_run: Callable[[], None], /, *, joint: bool) -> bool:  # noqa: ARG001
    return False


class Cache(Generic[T]):
    """A thread-safe LRU cache of at most `count` answers, stale ones included, which with their tags have at most `size` bytes.

    In memory they take about five times as much. A long answer is not cached: it would evict
    hundreds, and its caller waits for the transfer anyway.
    """

    def __init__(self, count: int = 20_000, size: int = 32_000_000, submit: Submit = never) -> None:
        self._max_count, self._max_size, self._submit = count, size, submit
        self._next_sweep = 0.0
        self._values: OrderedDict[Hashable, CachedValue[T]] = OrderedDict()
        self._keys_of_tag: defaultdict[Hashable, set[Hashable]] = defaultdict(set)
        self._stale: set[Hashable] = set()  # by an event; the tags of these keys are no longer in `_keys_of_tag`
        self._lock = threading.Lock()
        self._flights: dict[Hashable, Flight[T]] = {}
        self._invalidations, self._failures = Invalidations(), Failures()
        self._failing: set[str] = set()
        self.counts = CacheCounts()
        self.size = 0
        self.on_clear: Callable[[], None] = lambda: None  # for what else depends on all that was stored

    def get(self, key: Hashable) -> T | None:
        """The value, fresh or stale. A stale one is refreshed in the background."""
        now = time.monotonic()
        with self._lock:
            cached = self._values.get(key)
            if cached is None:
                return None
            if cached.deadline <= now:
                self._drop(key)
                return None
            self._values.move_to_end(key)
            cached.requested = True
            if now < cached.stale_at:
                self.counts.hits += 1
                return cached.value
            self.counts.stale_hits += 1
            due = cached.compute is not None and not cached.refreshing
            cached.refreshing = cached.refreshing or due
        if due:
            self._submit_refresh(key, cached)
        return cached.value

    def _submit_refresh(self, key: Hashable, stale: CachedValue[T]) -> None:
        stale.refreshing = self._submit(partial(self._refresh, key, stale), joint=stale.joint)

    def part(self, key: Hashable, tags: Iterable[Hashable], compute: Compute[T]) -> T:
        """A value that becomes part of another one: the cached one if it is fresh, else one that is computed. Not counted."""
        with self._lock:
            cached = self._values.get(key)
            if cached and time.monotonic() < cached.stale_at:
                self._values.move_to_end(key)
                return cached.value
        return self._computed(key, frozenset(tags), compute, shared=True)

    def __len__(self) -> int:
        return len(self._values)

    @property
    def generation(self) -> int:
        """The number of invalidations so far."""
        return self._invalidations.generation

    @property
    def in_use(self) -> bool:
        """True if a value is cached or being computed."""
        return bool(self._values or self._flights)

    def put(
        self,
        key: Hashable,
        value: T,
        seconds: float,
        tags: Iterable[Hashable],
        generation: int,
        size: int = 1,
        compute: Compute[T] | None = None,
        *,
        joint: bool = False,
    ) -> None:
        """Cache a value begun at this `generation`. `compute` refreshes it once it is stale.

        Its time over, it is served for as long again, at most as long as any stale value.
        """
        tags = frozenset(tags)
        now = time.monotonic()
        with self._lock:
            self._sweep(now)
            deadline = self._invalidations.deadline(tags, generation)
            present = self._values.get(key)
            size += TAG_BYTES * len(tags)
            if size > MAX_ANSWER_BYTES or deadline <= now or (present and present.generation > generation):
                return
            self._drop(key)
            over = now + seconds
            cached = CachedValue(
                value,
                tags,
                size,
                generation,
                stale_at=over,
                deadline=min(over + seconds, stale_until(over)),
                compute=compute,
                joint=joint,
            )
            self._values[key] = cached
            self.size += size
            for tag in tags:
                self._keys_of_tag[tag].add(key)
            if deadline < cached.deadline:  # an event about it was stored while it was computed
                self._make_stale(key, deadline, now)
            while len(self._values) > self._max_count or self.size > self._max_size:
                self._drop(next(iter(self._values)))

    def computed(
        self, key: Hashable, tags: Iterable[Hashable], compute: Compute[T], *, fresh: bool = False, shared: bool = True
    ) -> T:
        """The value of a computation, which runs once for all callers that ask for the same key meanwhile.

        A caller does not share a computation that began before one of its tags was invalidated. A `fresh` caller shares none
        that has begun, and tries again where one failed lately; all others get the same error at once.
        """
        with self._lock:
            self.counts.misses += shared and not fresh
            error = None if fresh else self._failures.get(key)
        if error:
            raise error
        return self._computed(key, frozenset(tags), compute, shared=shared and not fresh)

    def _computed(self, key: Hashable, tags: Set[Hashable], compute: Compute[T], *, shared: bool) -> T:
        with self._lock:
            flight = self._flights.get(key) if shared else None
            if flight and self._invalidations.deadline(tags, flight.generation) == NEVER:
                mine = None
            else:
                mine = flight = self._flights[key] = Flight(self.generation)
        if not mine:
            return flight.value.result()
        try:
            computed = compute()
        except BaseException as error:
            if isinstance(error, AlsoboughtError):
                with self._lock:
                    self._failures.add(key, error)
            mine.value.set_exception(error)
            raise
        else:
            mine.value.set_result(computed.value)
            self._cache_computed(key, computed, mine.generation, compute)
            return computed.value
        finally:
            with self._lock:
                if self._flights.get(key) is mine:
                    del self._flights[key]

    def _cache_computed(self, key: Hashable, computed: Computed[T], generation: int, compute: Compute[T]) -> None:
        with self._lock:
            self._failures.forget(key)
        if computed.seconds:
            self.put(
                key,
                computed.cached,
                computed.seconds,
                computed.tags,
                generation,
                computed.size,
                compute,
                joint=computed.joint,
            )

    def _refresh(self, key: Hashable, stale: CachedValue[T]) -> None:
        """Compute a stale value again, unless a caller has done so meanwhile. If that fails, it is served until its deadline."""
        with self._lock:
            if self._values.get(key) is not stale or stale.deadline <= time.monotonic() or not stale.compute:
                return
            self.counts.refreshes += 1
        try:
            self._computed(key, stale.tags, stale.compute, shared=True)
            with self._lock:
                if refreshed := self._values.get(key):
                    refreshed.requested = False
        except Exception as error:
            self._log_failure(str(key), error)
        else:
            self._failing.discard(str(key))

    def _log_failure(self, name: str, error: Exception) -> None:
        """Once for all failures until the next success."""
        self.counts.failed_refreshes += 1
        if name not in self._failing:
            self._failing.add(name)
            trace = not isinstance(error, AlsoboughtError)
            log.warning("a cached answer of %s could not be refreshed: %s", name, error, exc_info=trace)

    def invalidate(self, tags: Iterable[Hashable], deadline: float = AT_ONCE) -> None:
        """Every value that has one of these tags is stale, and nobody gets it after the deadline.

        At once, everything that is stale already goes with it: who waited for an event must not see an answer without earlier ones.
        Otherwise, those that share queries are refreshed together now, if somebody requested them since their last refresh.
        """
        tags, now = frozenset(tags), time.monotonic()
        due: list[tuple[Hashable, CachedValue[T]]] = []
        with self._lock:
            self._invalidations.add(tags, deadline)
            for key in {key for tag in tags for key in self._keys_of_tag.get(tag, ())}:
                cached = self._values[key]
                self._make_stale(key, deadline, now)
                if cached.joint and cached.requested and not cached.refreshing and cached.deadline > now:
                    cached.refreshing = True
                    due.append((key, cached))
            for key in list(self._stale) if deadline == AT_ONCE else ():
                self._drop(key)
        for key, cached in due:
            self._submit_refresh(key, cached)

    def drop_stale(self) -> None:
        """Afterwards every cached value contains the events of all invalidations so far."""
        self.invalidate(())

    def clear(self) -> None:
        self.on_clear()
        with self._lock:
            self._invalidations.add_all()
            self._failures.clear()
            self._values.clear()
            self._keys_of_tag.clear()
            self._stale.clear()
            self.size = 0

    def _make_stale(self, key: Hashable, deadline: float, now: float) -> None:
        """Deadlines come in the order of acceptance, so that of the first event is the earliest: no later one matters."""
        cached = self._values[key]
        self._forget_tags(key, cached)
        self._stale.add(key)
        cached.stale_at, cached.deadline = min(cached.stale_at, now), min(cached.deadline, deadline)
        if cached.deadline <= now:
            self._drop(key)

    def _sweep(self, now: float) -> None:
        """Drop values past their deadline that nobody requests any more, every few seconds."""
        if now < self._next_sweep:
            return
        self._next_sweep = now + SWEEP_SECONDS
        for key in [key for key, cached in self._values.items() if cached.deadline <= now]:
            self._drop(key)

    def _drop(self, key: Hashable) -> None:
        cached = self._values.pop(key, None)
        if cached:
            self.size -= cached.size
            self._stale.discard(key)
            self._forget_tags(key, cached)

    def _forget_tags(self, key: Hashable, cached: CachedValue[T]) -> None:
        for tag in cached.tags:
            keys = self._keys_of_tag.get(tag)
            if keys:
                keys.discard(key)
                if not keys:
                    del self._keys_of_tag[tag]
