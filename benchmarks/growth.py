"""How a cost grows with a size, judged against n log n, and numbers as cells of a table."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

NOTHING = 0.01  # less is taken for this much


def short(number: float) -> str:
    """
    >>> short(2_000_000), short(30_000), short(200)
    ('2 M', '30 k', '200')
    """
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if number >= unit:
            return f"{number / unit:g} {name}"
    return f"{number:g}"


def steep_steps(sizes: Sequence[int], costs: Sequence[float]) -> list[str]:
    """The steps at which a cost grew more than n log n.

    >>> steep_steps([1_000, 10_000, 100_000], [1, 2, 40])
    ['10 k to 100 k: x20, n log n is x12']
    """
    steps = []
    for (small, cost), (large, higher) in _pairs(sizes, costs):
        allowed = large * math.log(large) / (small * math.log(small))
        if higher > cost * allowed:
            steps.append(f"{short(small)} to {short(large)}: x{higher / cost:.2g}, n log n is x{allowed:.2g}")
    return steps


def growth(sizes: Sequence[int], costs: Sequence[float]) -> str:
    """How a cost grew in all, and for each doubling at its steepest step.

    >>> growth([1_000, 10_000, 100_000], [10, 20, 30])
    'x3 for x100, x1.23 a doubling'
    >>> growth([1_000, 10_000, 100_000], [1, 2, 40])
    'x40 for x100, **x2.46 a doubling**'
    """
    pairs = _pairs(sizes, costs)
    steepest = max((higher / cost) ** (1 / math.log2(large / small)) for (small, cost), (large, higher) in pairs)
    mark = "**" if steep_steps(sizes, costs) else ""
    total = f"x{_rounded(pairs[-1][1][1] / pairs[0][0][1])} for x{_rounded(sizes[-1] / sizes[0])}"
    return f"{total}, {mark}x{steepest:.2f} a doubling{mark}"


def _pairs(sizes: Sequence[int], costs: Sequence[float]) -> list[tuple[tuple[int, float], tuple[int, float]]]:
    """Each size with its cost, and the next one."""
    return list(itertools.pairwise(zip(sizes, (max(NOTHING, cost) for cost in costs), strict=True)))


def _rounded(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def cell(values: Sequence[float]) -> str:
    return " · ".join(f"{value:,.0f}" if value >= 10 else f"{value:.1f}" for value in values)


def count_cell(number: float) -> str:
    return f"{number:,.0f}" if number < 10_000 else f"{number / 1_000:,.0f} k"
