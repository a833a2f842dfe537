"""Measures of recommendation lists. Per query, at length k with binary relevance (Järvelin and Kekäläinen 2002 for nDCG):

* recall: hits / relevant items
* nDCG: Σ 1/log2(1 + rank) over the hits, divided by the same sum if the first min(k, relevant items) ranks were all hits
* hit: 1 if there is a hit
* MRR: 1 / rank of the first hit, 0 without one

Only the first occurrence of an item in a list counts. Of all lists together: coverage, novelty, diversity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from alsobought.evaluation.tasks import Query

Floats = npt.NDArray[np.float64]
MEASURES = ("recall", "ndcg", "hit", "mrr")


def query_measures(lists: Sequence[Sequence[str]], queries: Sequence[Query], k: int) -> Floats:
    """One row per query, one column for each of MEASURES."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    values = np.zeros((len(queries), len(MEASURES)))
    for row, (items, query) in enumerate(zip(lists, queries, strict=True)):
        ranks = [rank for rank, item in enumerate(dict.fromkeys(items)) if rank < k and item in query.truth]
        if ranks:
            ideal = discounts[: min(k, len(query.truth))].sum()
            values[row] = (len(ranks) / len(query.truth), discounts[ranks].sum() / ideal, 1, 1 / (ranks[0] + 1))
    return values


@dataclass(frozen=True)
class ListMeasures:
    """Measures beyond accuracy.

    `coverage`: distinct items shown that were sold before / items sold before. `novelty`: mean self-information of the
    items shown, log2(buyers / buyers of the item) (Zhou et al. 2010, PNAS 107:4511), with at least one buyer each.
    `diversity`: mean share of pairs of different categories, over lists of two or more items: the intra-list dissimilarity
    of Smyth and McClave 2001 with a distance of 0 or 1. `length`: mean number of items. `empty`: share of lists without
    items. The mean of no values is 0.
    """

    coverage: float
    novelty: float
    diversity: float
    length: float
    empty: float


def list_measures(
    lists: Sequence[Sequence[str]], k: int, buyers: Mapping[str, int], all_buyers: int, category: Callable[[str], str]
) -> ListMeasures:
    """`buyers` has the number of buyers of each item sold before, `all_buyers` that of all; `category` is of an item."""
    top = [list(dict.fromkeys(items))[:k] for items in lists]
    shown = [item for items in top for item in items]
    return ListMeasures(
        coverage=len(set(shown) & buyers.keys()) / max(1, len(buyers)),
        novelty=_mean([float(np.log2(max(1, all_buyers) / max(1, buyers.get(item, 1)))) for item in shown]),
        diversity=_mean([_category_diversity(items, category) for items in top if len(items) > 1]),
        length=_mean([len(items) for items in top]),
        empty=_mean([not items for items in top]),
    )


def _category_diversity(items: Sequence[str], category: Callable[[str], str]) -> float:
    return _mean([one != other for one, other in combinations(map(category, items), 2)])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def auc(scores: Sequence[float] | Floats, relevant: Sequence[bool] | npt.NDArray[np.bool_]) -> float:
    """The probability that a relevant item has a higher score than another; equal scores count half (Mann-Whitney U).

    >>> auc([0.9, 0.8, 0.3, 0.8], [True, False, False, True])
    0.875

    Raises ValueError if all or none are relevant.
    """
    values, labels = np.asarray(scores, dtype=np.float64), np.asarray(relevant, dtype=np.bool_)
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        raise ValueError("an AUC needs both relevant and other items")
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[index]  # equal scores have the mean of their ranks
    return float((ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives))
