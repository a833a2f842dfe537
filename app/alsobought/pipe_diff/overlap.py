"""How alike two lists of items are, and quantiles of what was asked several times. Plain numbers, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

PERSISTENCE = 0.9  # of somebody who reads a list: nine of ten go on to the next item


def jaccard(one: Sequence[str], other: Sequence[str]) -> float:
    """The share of items in both lists among those in either, 0..1; the order does not matter. Two empty lists are alike.

    Items in both / items in either: P. Jaccard, Étude comparative de la distribution florale (1901).

    >>> jaccard(["tea", "mug", "pot"], ["mug", "tea", "cup"])
    0.5
    """
    either = set(one) | set(other)
    return len(set(one) & set(other)) / len(either) if either else 1.0


def rank_biased_overlap(one: Sequence[str], other: Sequence[str], persistence: float = PERSISTENCE) -> float:
    """How far two lists agree, 0..1, the top counting most. Items of a list are distinct. Two empty lists are alike.

    The agreement at depth d, |A[:d] ∩ B[:d]| / d, weighted by p^(d - 1), over the depths of the longer list, divided by the
    sum of the weights: W. Webber, A. Moffat, J. Zobel, A Similarity Measure for Indefinite Rankings, ACM TOIS 28 (2010),
    equation 4, cut off where the lists end. Their extrapolation is left out: it calls a list and its first half alike, and
    nobody sees what a list does not show.

    >>> rank_biased_overlap(["tea", "mug", "pot"], ["tea", "pot", "mug"], 0.5)  # (1 + 0.5 * 1/2 + 0.25 * 1) / 1.75
    0.8571428571428571
    """
    if not one and not other:
        return 1.0
    seen_one: set[str] = set()
    seen_other: set[str] = set()
    agreed = total = 0.0
    weight = 1.0
    for depth in range(max(len(one), len(other))):
        seen_one.update(one[depth : depth + 1])
        seen_other.update(other[depth : depth + 1])
        agreed += weight * len(seen_one & seen_other) / (depth + 1)
        total += weight
        weight *= persistence
    return min(1.0, agreed / total)


def mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """Of values that were met so often. Raises ZeroDivisionError where there are none.

    >>> mean([1.0, 0.0], [3, 1])
    0.75
    """
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def quantile(values: Sequence[float], weights: Sequence[float], share: float) -> float:
    """The smallest value that, with those below it, makes up this share (0..1) of all. Raises IndexError where there are none.

    >>> quantile([30.0, 10.0, 20.0], [1, 1, 1], 0.5), quantile([30.0, 10.0], [1, 99], 0.95)
    (20.0, 10.0)
    """
    ordered = sorted(zip(values, weights, strict=True))
    below, wanted = 0.0, share * sum(weights) - 1e-9
    for value, weight in ordered:
        below += weight
        if below >= wanted:
            return value
    return ordered[-1][0]
