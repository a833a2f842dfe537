"""The parts of the cache: what a computation gives, what is cached of it, and a computation that others wait for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Computed(Generic[T]):
    """A value for the caller who computed it, and `cached` for all others, for so many seconds; 0: it may not be cached.

    `joint`: its computation shares queries with others.
    """

    value: T
    cached: T
    seconds: float
    tags: frozenset[Hashable]
    size: int
    joint: bool = False


Compute = Callable[[], Computed[T]]


@dataclass(slots=True)
class CachedValue(Generic[T]):
    """A value begun at this generation. It is fresh until `stale_at`, and nobody gets it after its `deadline`.

    `requested`: by a caller, since it was computed or as it was.
    """

    value: T
    tags: frozenset[Hashable]
    size: int
    generation: int
    stale_at: float
    deadline: float
    compute: Compute[T] | None
    joint: bool
    requested: bool = True
    refreshing: bool = False


@dataclass(frozen=True)
class Flight(Generic[T]):
    """A value that is being computed, begun at this generation of the cache."""

    generation: int
    value: Future[T] = field(default_factory=Future)


@dataclass
class CacheCounts:
    """How callers were answered since the start: with a fresh value, with a stale one, by a computation; and the refreshes."""

    hits: int = 0
    stale_hits: int = 0
    misses: int = 0
    refreshes: int = 0
    failed_refreshes: int = 0
