"""Remember the last invalidations: what they mean for a value is known only when its computation ends."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Set

AT_ONCE = -math.inf  # the deadline of an answer that nobody may get any more
NEVER = math.inf
MAX_INVALIDATIONS, MAX_TAGS = 256, 50_000  # a tag takes about 200 bytes


class Invalidations:
    """The tags and deadlines of the last invalidations, each with the generation that it began. Not thread-safe.

    >>> remembered = Invalidations()
    >>> remembered.add(frozenset({"tea"}), 7.5)
    >>> remembered.deadline({"tea", "mug"}, since=0), remembered.deadline({"mug"}, since=0)
    (7.5, inf)
    >>> remembered.deadline({"tea"}, since=1)
    inf
    """

    def __init__(self) -> None:
        self._last: deque[tuple[int, Set[Hashable], float]] = deque()
        self._tags = 0
        self._complete_since = 0  # all later ones are in `_last`
        self.generation = 0

    def add(self, tags: Set[Hashable], deadline: float) -> None:
        """Values with one of these tags, begun before, may be served until the deadline."""
        self.generation += 1
        self._last.append((self.generation, tags, deadline))
        self._tags += len(tags)
        while len(self._last) > MAX_INVALIDATIONS or self._tags > MAX_TAGS:
            self._complete_since, forgotten, _ = self._last.popleft()
            self._tags -= len(forgotten)

    def add_all(self) -> None:
        """Nothing begun before may be served any more."""
        self.generation += 1
        self._last.clear()
        self._tags, self._complete_since = 0, self.generation

    def deadline(self, tags: Set[Hashable], since: int) -> float:
        """Until when a value with these tags may be served that was begun at this generation.

        An invalidation at once ends what was stale before it, too: who waited for it must not see anything older.
        """
        if since < self._complete_since:
            return AT_ONCE
        until = NEVER
        for generation, invalidated, deadline in self._last:
            if generation > since and (not tags.isdisjoint(invalidated) or (until < NEVER and deadline == AT_ONCE)):
                until = min(until, deadline)
        return until
