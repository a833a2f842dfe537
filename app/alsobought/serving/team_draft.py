"""Team draft: two rankings become one list, and each item of it belongs to the ranking that picked it.

In each round both teams pick once, each the best of its items that is not in the list yet; a coin decides who begins. Clicks on the
items of a team then are votes for its ranking (Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval
quality?", CIKM 2008). Pure.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from hashlib import blake2b
from itertools import count

import msgspec

Pick = tuple[int, int]
"""The team, 0 or 1, and the index of the item in its ranking."""


def team_draft(rankings: Sequence[Sequence[Hashable]], limit: int, coins: Iterator[int]) -> list[Pick]:
    """The picks, at most `limit`. No round begins after a team has no item left, so that no team is more than one pick ahead.

    >>> team_draft([["tea", "mug", "pot"], ["tea", "cup", "mug"]], 4, iter([1, 0]))
    [(1, 0), (0, 1), (0, 2), (1, 1)]
    """
    taken, picks, sizes, positions = set[Hashable](), list[Pick](), [0, 0], [0, 0]
    while len(picks) < limit:
        for team, ranking in enumerate(rankings):
            while positions[team] < len(ranking) and ranking[positions[team]] in taken:
                positions[team] += 1
        has_items = [position < len(ranking) for position, ranking in zip(positions, rankings, strict=True)]
        if sizes[0] == sizes[1]:
            if not all(has_items):
                break
            team = next(coins)
        else:
            team = int(sizes[1] < sizes[0])
            if not has_items[team]:
                break
        taken.add(rankings[team][positions[team]])
        picks.append((team, positions[team]))
        sizes[team] += 1
    return picks


def coins_of(*names: object) -> Iterator[int]:
    """Fair coins, 0 or 1, without an end: the same for the same names, and independent of those for other ones."""
    for block in count():
        for byte in blake2b(msgspec.json.encode((*names, block))).digest():
            yield from (byte >> bit & 1 for bit in range(8))
