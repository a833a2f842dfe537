"""Answers kept for a moment. A pipe says how long in its header, and what makes an answer out of date at once:

    -- @cache 60s item_id      until an event generation that item, 60 seconds at the most
    -- @cache 500ms            half a second

What a reader would guess wrong: an answer that was being computed while something was stored is not kept, because nobody
can say whether it had seen it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")
LONG = 1_000  # rows
SWEEP_SECONDS = 10.0


@dataclass(frozen=True)
class CachedValue(Generic[T]):
    value: T
    until: float
    tags: frozenset[Hashable]
    rows: int


class Cache(Generic[T]):
    """At most `size` answers and `rows` rows of them, the least recently used go first. Safe for threads.

    A long answer is not cached: one would push out hundreds, and whoever asks for it waits for its rows anyway.
    """

    def __init__(self, size: int = 20_000, rows: int = 200_000) -> None:
        self._size, self._most_rows = size, rows
        self._rows = 0
        self._sweep_at = 0.0
        self._values: OrderedDict[Hashable, CachedValue[T]] = OrderedDict()
        self._keys_of_tag: defaultdict[Hashable, set[Hashable]] = defaultdict(set)
        self._lock = threading.Lock()
        self.generation = 0

    def get(self, key: Hashable) -> T | None:
        with self._lock:
            cached = self._values.get(key)
            if cached is None:
                return None
            if cached.until < time.monotonic():
                self._drop(key)
                return None
            self._values.move_to_end(key)
            return cached.value

    def __len__(self) -> int:
        return len(self._values)

    def put(
        self, key: Hashable, value: T, seconds: float, tags: Iterable[Hashable], generation: int, rows: int = 1
    ) -> None:
        """Keeps a value that was begun when `generation` stood at this number, unless something was touched since."""
        with self._lock:
            self._sweep()
            if generation != self.generation or rows > LONG:
                return
            self._drop(key)
            cached = CachedValue(value, time.monotonic() + seconds, frozenset(tags), rows)
            self._values[key] = cached
            self._rows += rows
            for tag in cached.tags:
                self._keys_of_tag[tag].add(key)
            while len(self._values) > self._size or self._rows > self._most_rows:
                self._drop(next(iter(self._values)))

    def _sweep(self) -> None:
        """Drops what is out of date and nobody asks for any more, every few seconds."""
        now = time.monotonic()
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_SECONDS
        for key in [key for key, cached in self._values.items() if cached.until < now]:
            self._drop(key)

    def invalidate(self, tags: Iterable[Hashable]) -> None:
        """Drops every answer that one of these tags makes stale."""
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
            waiting = self._keys_of_tag[tag]
            waiting.discard(key)
            if not waiting:
                del self._keys_of_tag[tag]
