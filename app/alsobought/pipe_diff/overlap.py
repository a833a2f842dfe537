"""Overlap of two lists of items; weighted mean and quantile. Pure."""

from __future__ import annotations

from collections.abc import Sequence

PERSISTENCE = 0.9  # probability that a reader of a list goes on to the next item


def jaccard(one: Sequence[str], other: Sequence[str]) -> float:
    """Items in both lists / items in either, 0..1, regardless of order; 1 for two empty lists.

    P. Jaccard, Étude comparative de la distribution florale (1901).

    >>> jaccard(["tea", "mug", "pot"], ["mug", "tea", "cup"])
    0.5
    """
    either = set(one) | set(other)
    return len(set(one) & set(other)) / len(either) if either else 1.0


def rank_biased_overlap(one: Sequence[str], other: Sequence[str], persistence: float = PERSISTENCE) -> float:
    """Agreement of two rankings, 0..1, weighted to the top; 1 for two empty lists. Items of a list are distinct.

    The agreement at depth d, |A[:d] ∩ B[:d]| / d, weighted by p^(d - 1), over the depths of the longer list, divided by the
    sum of the weights: W. Webber, A. Moffat, J. Zobel, A Similarity Measure for Indefinite Rankings, ACM TOIS 28 (2010),
    equation 4, cut off where the lists end. Without their extrapolation, which would rate a list and its first half as
    equal, although a shorter list shows less.

    >>> rank_biased_overlap(["tea", "mug", "pot"], ["tea", "pot", "mug"], 0.5)  # (1 + 0.5 * 1/2 + 0.25 * 1) / 1.75
    0.8571428571428571
    """
    if not one and not other:
        return 1.0
    seen_one: set[str] = set()
    seen_other: set[str] = set()
    agreement = total = 0.0
    weight = 1.0
    for depth in range(max(len(one), len(other))):
        seen_one.update(one[depth : depth + 1])
        seen_other.update(other[depth : depth + 1])
        agreement += weight * len(seen_one & seen_other) / (depth + 1)
        total += weight
        weight *= persistence
    return min(1.0, agreement / total)


def mean(values: Sequence[float], weights: Sequence[float]) -> float:
    """Weighted mean. Raises ZeroDivisionError for no values.

    >>> mean([1.0, 0.0], [3, 1])
    0.75
    """
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)


def quantile(values: Sequence[float], weights: Sequence[float], share: float) -> float:
    """The smallest value whose cumulative weight reaches this share (0..1). Raises IndexError for no values.

    >>> quantile([30.0, 10.0, 20.0], [1, 1, 1], 0.5), quantile([30.0, 10.0], [1, 99], 0.95)
    (20.0, 10.0)
    """
    ordered = sorted(zip(values, weights, strict=True))
    cumulative, target = 0.0, share * sum(weights) - 1e-9
    for value, weight in ordered:
        cumulative += weight
        if cumulative >= target:
            return value
    return ordered[-1][0]
