"""Whether units are split as planned: a test that may be asked every day."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

BROKEN = 0.005  # a p-value below this: of 200 healthy experiments, one is called broken on any of its days
CERTAINTY = 1_000.0  # weight of the planned shares, as if so many units had come as planned


def sample_ratio_p_value(daily_counts: Iterable[Sequence[float]], shares: Sequence[float]) -> float:
    """The sequential p-value for counts of units so far, by variant, at each look; `shares` sum to 1.

    The smallest 1 / Bayes factor of the looks: multinomial with the planned shares against a Dirichlet prior centred on them
    (Lindon and Malek, "Anytime-valid inference for multinomial count data", NeurIPS 2022). It is below p on any day of a healthy
    experiment with a probability of at most p, which a chi-square test that is repeated daily is not.
    """
    return min((math.exp(-max(0.0, _log_bayes_factor(counts, shares))) for counts in daily_counts), default=1.0)


def _log_bayes_factor(counts: Sequence[float], shares: Sequence[float]) -> float:
    total = sum(counts)
    factor = math.lgamma(CERTAINTY) - math.lgamma(CERTAINTY + total)
    for count, share in zip(counts, shares, strict=True):
        prior = CERTAINTY * share
        factor += math.lgamma(prior + count) - math.lgamma(prior) - count * math.log(share)
    return factor
