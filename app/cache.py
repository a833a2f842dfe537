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


@dataclass(frozen=True)
class Kept(Generic[T]):
    value: T
    until: float
    touched_by: frozenset[Hashable]


class Cache(Generic[T]):
    """At most `size` answers, the least recently used go first. Safe for threads."""

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
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

    def put(self, key: Hashable, value: T, seconds: float, touched_by: Iterable[Hashable], touches: int) -> None:
        """Keeps a value that was begun when `touches` stood at this number, unless something was touched since."""
        with self._lock:
            if touches != self.touches:
                return
            self._drop(key)
            kept = Kept(value, time.monotonic() + seconds, frozenset(touched_by))
            self._kept[key] = kept
            for thing in kept.touched_by:
                self._waiting_for[thing].add(key)
            while len(self._kept) > self._size:
                self._drop(next(iter(self._kept)))

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

    def _drop(self, key: Hashable) -> None:
        kept = self._kept.pop(key, None)
        for thing in kept.touched_by if kept else ():
            waiting = self._waiting_for[thing]
            waiting.discard(key)
            if not waiting:
                del self._waiting_for[thing]
