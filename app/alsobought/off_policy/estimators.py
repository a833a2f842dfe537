"""Estimates of a rate that new lists would have had, from impressions of logged lists whose choices were random.

Each impression is a round of a bandit: an item at a position, the probability of that choice (its propensity), and a reward, 1
or 0. The item-position model (S. Li, Y. Abbasi-Yadkori, B. Kveton, S. Muthukrishnan, V. Vinay and Z. Wen, *Offline evaluation of
ranking policies with click models*, KDD 2018, section 4.2) takes the reward of an item at a position as independent of the other
items. New lists are deterministic: the weight w of a round is 1 / propensity if the new list has the same item there, else 0.

* IPS, inverse propensity score, Σ w r / n (D. Horvitz and D. Thompson, JASA 47, 1952): unbiased if every choice of the new lists
  had a chance; a choice without one counts as a reward of 0.
* SNIPS, self-normalised, Σ w r / Σ w (A. Swaminathan and T. Joachims, *The self-normalized estimator for counterfactual learning*,
  NIPS 2015): the rate of the choices that had a chance, with less variance.
* DR, doubly robust, Σ (q(new) + w (r - q(shown))) / n (M. Dudík, J. Langford and L. Li, ICML 2011), with a model q of the reward:
  unbiased as IPS, and where a choice had no chance as good as the model.

All three are ratios of two sums over rounds, so their intervals are those of the delta method. Rounds of a user resemble each
other, and so do those of a draw, a random list that several users were shown. Variances are clustered by both (A. C. Cameron, J. B.
Gelbach and D. L. Miller, *Robust inference with multiway clustering*, JBES 29, 2011), and never below that of one of them. As they
advise, the interval is that of Student's t with one degree of freedom less than there are users, or draws if these are fewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

MAX_WEIGHT = (
    100.0  # weights are clipped here, which bounds the variance and lowers IPS where propensities are below 1 %
)
NOTHING = -1  # in Log.new_items: the new list has nothing at this position

Numbers = np.ndarray


@dataclass(frozen=True)
class Log:
    """One impression in each row. Items are numbers from 0; positions count from 1; users and draws are any integers."""

    users: Numbers
    draws: Numbers
    positions: Numbers
    items: Numbers
    propensities: Numbers
    rewards: Numbers
    new_items: Numbers

    def filled(self) -> Log:
        """The rows at whose position the new list has an item: others are no impression of it."""
        return self.part(self.new_items != NOTHING)

    def part(self, rows: Numbers) -> Log:
        return Log(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Clusters:
    """Which rounds are not independent."""

    users: Numbers
    draws: Numbers

    @classmethod
    def of(cls, log: Log) -> Clusters:
        return cls(*(np.unique(ids, return_inverse=True)[1] for ids in (log.users, log.draws)))

    def reach(self, influence: Numbers) -> float:
        """Half the 95 % interval of a sum of these rounds; infinite for fewer than three users or draws."""
        both = self.users * (int(self.draws.max(initial=0)) + 1) + self.draws
        variances = [_variance(influence, ids) for ids in (self.users, self.draws)]
        joint = sum(variances) - _variance(influence, np.unique(both, return_inverse=True)[1])
        freedom = min(len(np.unique(ids)) for ids in (self.users, self.draws)) - 1
        return student_t(freedom) * float(np.sqrt(max(*variances, joint))) if freedom > 1 else np.inf


@dataclass(frozen=True)
class Ratio:
    """`value` and what each round adds to its error (the influence function), so that two ratios of one log can be subtracted."""

    value: float
    influence: Numbers

    def __sub__(self, other: Ratio) -> Ratio:
        return Ratio(self.value - other.value, self.influence - other.influence)

    def interval(self, clusters: Clusters) -> tuple[float, float]:
        """With 95 % confidence. Not cut off at 0 or 1."""
        reach = clusters.reach(self.influence)
        return self.value - reach, self.value + reach


def weights(log: Log, max_weight: float = np.inf) -> Numbers:
    """
    >>> row = dict(users=np.zeros(2), draws=np.zeros(2), positions=np.array([1, 2]), rewards=np.ones(2))
    >>> log = Log(**row, items=np.array([7, 8]), propensities=np.array([0.8, 0.1]), new_items=np.array([7, 9]))
    >>> weights(log).tolist()
    [1.25, 0.0]
    """
    return np.minimum(np.where(log.items == log.new_items, 1 / log.propensities, 0.0), max_weight)


def effective_size(weight: Numbers) -> float:
    """How many rounds of equal weight have the same variance: (Σ w)² / Σ w² (L. Kish, *Survey sampling*, 1965).

    >>> effective_size(np.array([2.0, 2.0, 0.0])), effective_size(np.zeros(3))
    (2.0, 0.0)
    """
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares else 0.0


def ips(weight: Numbers, rewards: Numbers) -> Ratio:
    return _ratio(weight * rewards, np.ones(len(rewards)))


def snips(weight: Numbers, rewards: Numbers) -> Ratio:
    return _ratio(weight * rewards, weight)


def doubly_robust(weight: Numbers, rewards: Numbers, shown: Numbers, new: Numbers) -> Ratio:
    """`shown` and `new` are the rewards that a model expects of the item that was shown, and of that of the new list."""
    return _ratio(new + weight * (rewards - shown), np.ones(len(rewards)))


def logged(rewards: Numbers) -> Ratio:
    """The rate that was observed."""
    return _ratio(rewards, np.ones(len(rewards)))


def student_t(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, within 1 % from 2 degrees of freedom on, by its expansion about the normal quantile
    (M. Abramowitz and I. Stegun, *Handbook of mathematical functions*, 26.7.5): scipy has it exactly, and is optional here.

    >>> round(student_t(10), 4), round(student_t(1_000_000), 4)
    (2.2281, 1.96)
    """
    z = NormalDist().inv_cdf(0.975)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(freedom) ** power for power, term in enumerate(terms, start=1))


def _ratio(numerators: Numbers, denominators: Numbers) -> Ratio:
    total = float(denominators.sum())
    value = float(numerators.sum()) / total if total else 0.0
    return Ratio(value, (numerators - value * denominators) / (total or 1.0))


def _variance(influence: Numbers, clusters: Numbers) -> float:
    sums = np.bincount(clusters, weights=influence)
    return float((sums**2).sum()) * len(sums) / (len(sums) - 1) if len(sums) > 1 else np.inf
