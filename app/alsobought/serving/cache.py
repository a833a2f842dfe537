"""Answers kept for a moment. A pipe says how long in its header, and what makes an answer out of date at once:

    -- @cache 60s item_id      until an event touches that item, 60 seconds at the most
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
class Kept(Generic[T]):
    value: T
    until: float
    touched_by: frozenset[Hashable]
    rows: int


class Cache(Generic[T]):
    """At most `size` answers and `rows` rows of them, the least recently used go first. Safe for threads.

    A long answer is not kept: one would push out hundreds, and whoever asks for it waits for its rows anyway.
    """

    def __init__(self, size: int = 20_000, rows: int = 200_000) -> None:
        self._size, self._most_rows = size, rows
        self._rows = 0
        self._sweep_at = 0.0
        self._kept: OrderedDict[Hashable, Kept[T]] = OrderedDict()
        self._waiting_for: defaultdict[Hashable, set[Hashable]] = defaultdict(set)
        self._lock = threading.Lock()
        self.touches = 0

    def get(self, key: Hashable) -> T | None:
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            if kept.until < time.monotonic():
                self._drop(key)
                return None
            self._kept.move_to_end(key)
            return kept.value

    def __len__(self) -> int:
        return len(self._kept)

    def put(
        self, key: Hashable, value: T, seconds: float, touched_by: Iterable[Hashable], touches: int, rows: int = 1
    ) -> None:
        """Keeps a value that was begun when `touches` stood at this number, unless something was touched since."""
        with self._lock:
            self._sweep()
            if touches != self.touches or rows > LONG:
                return
            self._drop(key)
            kept = Kept(value, time.monotonic() + seconds, frozenset(touched_by), rows)
            self._kept[key] = kept
            self._rows += rows
            for thing in kept.touched_by:
                self._waiting_for[thing].add(key)
            while len(self._kept) > self._size or self._rows > self._most_rows:
                self._drop(next(iter(self._kept)))

    def _sweep(self) -> None:
        """Drops what is out of date and nobody asks for any more, every few seconds."""
        now = time.monotonic()
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_SECONDS
        for key in [key for key, kept in self._kept.items() if kept.until < now]:
            self._drop(key)

    def touch(self, things: Iterable[Hashable]) -> None:
        """Drops every answer that one of these things makes out of date."""
        with self._lock:
            self.touches += 1
            for thing in things:
                for key in list(self._waiting_for.get(thing, ())):
                    self._drop(key)

    def clear(self) -> None:
        with self._lock:
            self.touches += 1
            self._kept.clear()
            self._waiting_for.clear()
            self._rows = 0

    def _drop(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        self._rows -= kept.rows if kept else 0
        for thing in kept.touched_by if kept else ():
            waiting = self._waiting_for[thing]
            waiting.discard(key)
            if not waiting:
                del self._waiting_for[thing]
