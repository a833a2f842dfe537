"""How good lists are. Of each question, at length k with binary relevance (Järvelin and Kekäläinen 2002 for nDCG):

* recall: hits / right items
* nDCG: Σ 1/log2(1 + place) over the hits, divided by the same sum if the first min(k, right items) places were all hits
* hit: 1 if there is a hit
* MRR: 1 / place of the first hit, 0 without one

An item that comes twice in a list counts at its first place. Of all lists together: coverage, novelty, diversity.
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


def of_questions(lists: Sequence[Sequence[str]], queries: Sequence[Query], k: int) -> Floats:
    """One row for each question, one column for each of MEASURES."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    made = np.zeros((len(queries), len(MEASURES)))
    for row, (items, query) in enumerate(zip(lists, queries, strict=True)):
        places = [place for place, item in enumerate(dict.fromkeys(items)) if place < k and item in query.truth]
        if places:
            ideal = discounts[: min(k, len(query.truth))].sum()
            made[row] = (len(places) / len(query.truth), discounts[places].sum() / ideal, 1, 1 / (places[0] + 1))
    return made


@dataclass(frozen=True)
class OfLists:
    """What lists are like beside being right.

    `coverage`: distinct items shown that were sold before / items sold before. `novelty`: mean over everything shown of
    log2(buyers / buyers of the item), its self-information (Zhou et al. 2010, PNAS 107:4511); an item without buyers counts
    as if it had one. `diversity`: mean over the lists of two and more of the share of pairs of different category, the
    intra-list dissimilarity of Smyth and McClave 2001 with a distance of 0 or 1. `length`: mean number of items.
    `empty`: share of lists without any. A mean of nothing is 0.
    """

    coverage: float
    novelty: float
    diversity: float
    length: float
    empty: float


def of_lists(
    lists: Sequence[Sequence[str]], k: int, buyers: Mapping[str, int], everyone: int, category: Callable[[str], str]
) -> OfLists:
    """`buyers` of each item sold before, `everyone` who bought anything, and the category of an item."""
    cut = [list(dict.fromkeys(items))[:k] for items in lists]
    shown = [item for items in cut for item in items]
    return OfLists(
        coverage=len(set(shown) & buyers.keys()) / max(1, len(buyers)),
        novelty=_mean([float(np.log2(max(1, everyone) / max(1, buyers.get(item, 1)))) for item in shown]),
        diversity=_mean([_different(items, category) for items in cut if len(items) > 1]),
        length=_mean([len(items) for items in cut]),
        empty=_mean([not items for items in cut]),
    )


def _different(items: Sequence[str], category: Callable[[str], str]) -> float:
    return _mean([one != other for one, other in combinations(map(category, items), 2)])


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0


def auc(scores: Sequence[float] | Floats, relevant: Sequence[bool] | npt.NDArray[np.bool_]) -> float:
    """The chance that a relevant one has a higher score than one that is not; equal scores count half (Mann-Whitney U).

    >>> auc([0.9, 0.8, 0.3, 0.8], [True, False, False, True])
    0.875

    Raises ValueError where all or none are relevant.
    """
    values, wanted = np.asarray(scores, dtype=np.float64), np.asarray(relevant, dtype=np.bool_)
    positives, negatives = int(wanted.sum()), int((~wanted).sum())
    if not positives or not negatives:
        raise ValueError("an AUC needs both relevant and other ones")
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(times)
    ranks = (ends - (times - 1) / 2)[place]  # equal scores share the mean of their ranks
    return float((ranks[wanted].sum() - positives * (positives + 1) / 2) / (positives * negatives))
