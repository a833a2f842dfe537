"""The reward that doubly robust estimates expect of an item at a position: rate of the position times appeal of the item.

The appeal is rewards over expected rewards (W. V. Zhang and R. Jones, *Comparing click logs and editorial labels for training query
rewriting*, WWW 2007), shrunk towards 1. A model learned from its own rows would explain them too well, so each of five groups of
users is predicted from the others (cross-fitting: V. Chernozhukov et al., *Double/debiased machine learning*, Econometrics Journal
21, 2018).
"""

from __future__ import annotations

import numpy as np

from alsobought.off_policy.estimators import Log, Numbers

FOLDS = 5
PRIOR_IMPRESSIONS = 20.0  # of each position, with the mean rate
PRIOR_REWARDS = 3.0  # of each item, as many as its positions let expect


def expected_rewards(log: Log) -> tuple[Numbers, Numbers]:
    """What each row's shown item and its new item are expected to earn at its position. Every row has a new item."""
    shown, new = np.zeros(len(log.items)), np.zeros(len(log.items))
    size = int(max(log.items.max(initial=0), log.new_items.max(initial=0))) + 1
    folds = np.unique(log.users, return_inverse=True)[1] % FOLDS
    for fold in range(FOLDS):
        held_out = folds == fold
        rates, appeal = _fitted(log.part(~held_out), int(log.positions.max(initial=1)), size)
        at = rates[log.positions[held_out]]
        shown[held_out] = np.minimum(1.0, at * appeal[log.items[held_out]])
        new[held_out] = np.minimum(1.0, at * appeal[log.new_items[held_out]])
    return shown, new


def _fitted(log: Log, positions: int, items: int) -> tuple[Numbers, Numbers]:
    """The rate of each position (index 0 is unused), and the appeal of each item."""
    mean = float(log.rewards.mean()) if len(log.rewards) else 0.0
    seen = np.bincount(log.positions, minlength=positions + 1)
    earned = np.bincount(log.positions, weights=log.rewards, minlength=positions + 1)
    rates = (earned + PRIOR_IMPRESSIONS * mean) / (seen + PRIOR_IMPRESSIONS)
    expected = np.bincount(log.items, weights=rates[log.positions], minlength=items)
    of_item = np.bincount(log.items, weights=log.rewards, minlength=items)
    return rates, (of_item + PRIOR_REWARDS) / (expected + PRIOR_REWARDS)
