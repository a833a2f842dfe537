"""Cache answers for a short time. A header sets the lifetime, and what invalidates an answer early:

    -- @cache 60s item_id      60 seconds, or until an event of that item is stored
    -- @cache 500ms            half a second

An answer that was being computed while one of its tags was invalidated is not cached: it may or
may not contain the stored event. Callers that ask for the same answer at the same time share one
computation.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable, Iterable, Set
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
MAX_ANSWER_BYTES = 256_000
SWEEP_SECONDS = 10.0
MAX_INVALIDATIONS, MAX_INVALIDATED_TAGS = 256, 10_000  # remembered for answers that are being computed


@dataclass(frozen=True)
class CachedValue(Generic[T]):
    value: T
    expires: float
    tags: frozenset[Hashable]
    size: int


@dataclass(frozen=True)
class Flight(Generic[T]):
    """A value that is being computed, begun at this generation of the cache."""

    generation: int
    value: Future[T] = field(default_factory=Future)


class Cache(Generic[T]):
    """A thread-safe LRU cache of at most `count` answers, whose JSON has at most `size` bytes together.

    In memory they take about five times as much. A long answer is not cached: it would evict
    hundreds, and its caller waits for the transfer anyway.
    """

    def __init__(self, count: int = 20_000, size: int = 32_000_000) -> None:
        self._max_count, self._max_size = count, size
        self._size = 0
        self._next_sweep = 0.0
        self._values: OrderedDict[Hashable, CachedValue[T]] = OrderedDict()
        self._keys_of_tag: defaultdict[Hashable, set[Hashable]] = defaultdict(set)
        self._lock = threading.Lock()
        self._flights: dict[Hashable, Flight[T]] = {}
        self._invalidated: deque[tuple[int, Set[Hashable]]] = deque()
        self._oldest = 0  # of the generations since which every invalidation is in `_invalidated`
        self.generation = 0

    def get(self, key: Hashable) -> T | None:
        with self._lock:
            cached = self._values.get(key)
            if cached is None:
                return None
            if cached.expires < time.monotonic():
                self._drop(key)
                return None
            self._values.move_to_end(key)
            return cached.value

    def __len__(self) -> int:
        return len(self._values)

    @property
    def in_use(self) -> bool:
        """True if a value is cached or being computed."""
        return bool(self._values or self._flights)

    def put(
        self, key: Hashable, value: T, seconds: float, tags: Iterable[Hashable], generation: int, size: int = 1
    ) -> None:
        """Cache a value begun at this `generation`, unless one of its tags was invalidated since then."""
        tags = frozenset(tags)
        with self._lock:
            self._sweep()
            if size > MAX_ANSWER_BYTES or not self._is_valid(generation, tags):
                return
            self._drop(key)
            cached = CachedValue(value, time.monotonic() + seconds, tags, size)
            self._values[key] = cached
            self._size += size
            for tag in cached.tags:
                self._keys_of_tag[tag].add(key)
            while len(self._values) > self._max_count or self._size > self._max_size:
                self._drop(next(iter(self._values)))

    def computed(self, key: Hashable, tags: Iterable[Hashable], compute: Callable[[], T]) -> T:
        """The result of `compute`, which runs once for all callers that ask for the same key meanwhile.

        A caller does not share a computation that began before one of its tags was invalidated.
        """
        with self._lock:
            flight = self._flights.get(key)
            if flight and self._is_valid(flight.generation, frozenset(tags)):
                mine = None
            else:
                mine = flight = self._flights[key] = Flight(self.generation)
        if not mine:
            return flight.value.result()
        try:
            value = compute()
        except BaseException as error:
            mine.value.set_exception(error)
            raise
        else:
            mine.value.set_result(value)
            return value
        finally:
            with self._lock:
                if self._flights.get(key) is mine:
                    del self._flights[key]

    def _is_valid(self, generation: int, tags: Set[Hashable]) -> bool:
        """True if none of these tags was invalidated since this generation."""
        if generation == self.generation:
            return True
        if generation < self._oldest:
            return False
        return all(tags.isdisjoint(invalidated) for later, invalidated in self._invalidated if later > generation)

    def _sweep(self) -> None:
        """Drop expired values that nobody requests any more, every few seconds."""
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + SWEEP_SECONDS
        for key in [key for key, cached in self._values.items() if cached.expires < now]:
            self._drop(key)

    def invalidate(self, tags: Iterable[Hashable]) -> None:
        """Drop every value that has one of these tags."""
        tags = frozenset(tags)
        with self._lock:
            self.generation += 1
            self._remember(tags)
            for tag in tags:
                for key in list(self._keys_of_tag.get(tag, ())):
                    self._drop(key)

    def _remember(self, tags: Set[Hashable]) -> None:
        self._invalidated.append((self.generation, tags))
        if len(tags) > MAX_INVALIDATED_TAGS:
            self._forget_invalidations()
        while len(self._invalidated) > MAX_INVALIDATIONS:
            self._oldest = self._invalidated.popleft()[0]

    def _forget_invalidations(self) -> None:
        """From here on no value is cached that was begun before."""
        self._invalidated.clear()
        self._oldest = self.generation

    def clear(self) -> None:
        with self._lock:
            self.generation += 1
            self._forget_invalidations()
            self._values.clear()
            self._keys_of_tag.clear()
            self._size = 0

    def _drop(self, key: Hashable) -> None:
        cached = self._values.pop(key, None)
        self._size -= cached.size if cached else 0
        for tag in cached.tags if cached else ():
            keys = self._keys_of_tag[tag]
            keys.discard(key)
            if not keys:
                del self._keys_of_tag[tag]
