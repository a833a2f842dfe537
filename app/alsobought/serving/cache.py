"""Cache answers for a short time. A header sets the lifetime, and what invalidates an answer early:

    -- @cache 60s item_id      60 seconds, or until an event of that item is stored
    -- @cache 500ms            half a second

An answer that was being computed during an invalidation is not cached: it may or may not contain
the stored event.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
MAX_ROWS_OF_ANSWER = 1_000
SWEEP_SECONDS = 10.0


@dataclass(frozen=True)
class CachedValue(Generic[T]):
    value: T
    expires: float
    tags: frozenset[Hashable]
    rows: int


class Cache(Generic[T]):
    """A thread-safe LRU cache of at most `size` answers with at most `rows` rows together.

    A long answer is not cached: it would evict hundreds, and its caller waits for the transfer of
    the rows anyway.
    """

    def __init__(self, size: int = 20_000, rows: int = 200_000) -> None:
        self._max_size, self._max_rows = size, rows
        self._rows = 0
        self._next_sweep = 0.0
        self._values: OrderedDict[Hashable, CachedValue[T]] = OrderedDict()
        self._keys_of_tag: defaultdict[Hashable, set[Hashable]] = defaultdict(set)
        self._lock = threading.Lock()
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

    def put(
        self, key: Hashable, value: T, seconds: float, tags: Iterable[Hashable], generation: int, rows: int = 1
    ) -> None:
        """Cache a value begun at this `generation`, unless there was an invalidation since then."""
        with self._lock:
            self._sweep()
            if generation != self.generation or rows > MAX_ROWS_OF_ANSWER:
                return
            self._drop(key)
            cached = CachedValue(value, time.monotonic() + seconds, frozenset(tags), rows)
            self._values[key] = cached
            self._rows += rows
            for tag in cached.tags:
                self._keys_of_tag[tag].add(key)
            while len(self._values) > self._max_size or self._rows > self._max_rows:
                self._drop(next(iter(self._values)))

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
        with self._lock:
            self.generation += 1
            for tag in tags:
                for key in list(self._keys_of_tag.get(tag, ())):
                    self._drop(key)

    def clear(self) -> None:
        with self._lock:
            self.generation += 1
            self._values.clear()
            self._keys_of_tag.clear()
            self._rows = 0

    def _drop(self, key: Hashable) -> None:
        cached = self._values.pop(key, None)
        self._rows -= cached.rows if cached else 0
        for tag in cached.tags if cached else ():
            keys = self._keys_of_tag[tag]
            keys.discard(key)
            if not keys:
                del self._keys_of_tag[tag]
