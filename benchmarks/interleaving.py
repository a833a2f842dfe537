"""How many users an experiment needs that interleaves two lists, and how many one that splits users, for the same difference.

    .venv/bin/python -m benchmarks.interleaving

Simulated users see lists of 8 of 40 items. What an item is worth to a user is drawn; a ranking sees it with noise, the better
one with less of it. A user looks at a position the less the further down it is, clicks by the worth of the item, and differs
from others in how readily he clicks and in how many lists he sees. Both experiments judge clicks, by the statistics of the
product: the sequential interval with a power of 80 %.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from alsobought.experimentation.confidence import best_information, multiplier
from alsobought.experimentation.planning import POWER
from alsobought.serving.team_draft import coins_of, team_draft

USERS, ITEMS, LENGTH, ALPHA = 20_000, 40, 8, 0.05
BASE_NOISE = 1.0
NOISES = (0.97, 0.9, 0.8, 0.6)  # of the better ranking
REACH = multiplier(best_information(ALPHA), ALPHA) + NormalDist().inv_cdf(POWER)
Floats = NDArray[np.float64]
Ranks = NDArray[np.int64]


class Shop:
    """Users with their lists: one row of `worth` for each list, and whose it is."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        lists = 1 + self.random.poisson(2.0, USERS)
        self.owner = np.repeat(np.arange(USERS), lists)
        self.eagerness = self.random.standard_gamma(1.0, USERS)[self.owner]
        self.worth = self.random.standard_normal((len(self.owner), ITEMS))

    def ranking(self, noise: float) -> Ranks:
        seen = self.worth + noise * self.random.standard_normal(self.worth.shape)
        return np.argsort(-seen, axis=1)[:, :LENGTH]

    def clicks(self, shown: Ranks) -> Floats:
        """1 for each position that is clicked."""
        worth = np.take_along_axis(self.worth, shown, axis=1)
        looked_at = 1 / (1 + np.arange(LENGTH)) ** 0.7
        chance = np.minimum(1.0, 0.12 * self.eagerness[:, None] * looked_at * np.exp(0.7 * worth))
        return (self.random.random(shown.shape) < chance).astype(float)

    def by_user(self, values: Floats) -> Floats:
        return np.asarray(np.bincount(self.owner, values, minlength=USERS), float)


def users_of_a_split(shop: Shop, control: Ranks, better: Ranks) -> tuple[float, float]:
    """The lift of clicks per impression, and the users needed, both variants together."""
    impressions = shop.by_user(np.full(len(shop.owner), float(LENGTH)))
    levels, relative_variances = [], []
    for shown in (control, better):
        clicks = shop.by_user(shop.clicks(shown).sum(axis=1))
        rate = clicks.sum() / impressions.sum()
        levels.append(rate)
        relative_variances.append((clicks - rate * impressions).var() / (impressions.mean() * rate) ** 2)
    lift = math.log(levels[1] / levels[0])
    return math.expm1(lift), 2 * sum(relative_variances) * (REACH / lift) ** 2


def users_of_interleaving(shop: Shop, control: Ranks, better: Ranks) -> tuple[float, float]:
    """The share of the lists that the better one wins, and the users needed, also those that decide no list."""
    picks = [
        team_draft(pair, LENGTH, coins_of("benchmark", n))
        for n, pair in enumerate(zip(control.tolist(), better.tolist(), strict=True))
    ]
    shown = np.array(
        [[(control, better)[team][row, place] for team, place in of_list] for row, of_list in enumerate(picks)]
    )
    sides = np.array([[2 * team - 1 for team, _ in of_list] for of_list in picks])
    votes = np.sign((shop.clicks(shown) * sides).sum(axis=1))
    y, z = shop.by_user(votes), shop.by_user(np.abs(votes))
    preference = y.sum() / z.sum()
    variance = (y * y).mean() / z.mean() ** 2
    return 0.5 + preference / 2, variance * (REACH / preference) ** 2


def rounded(number: float) -> str:
    return f"{round(number, 1 - math.floor(math.log10(number))):,.0f}"


def measured(
    noise: float, of: Callable[[Shop, Ranks, Ranks], tuple[float, float]], shops: int = 3
) -> tuple[float, float]:
    """The median of some simulated shops, each with its own users."""
    results = []
    for seed in range(shops):
        shop = Shop(seed)
        results.append(of(shop, shop.ranking(BASE_NOISE), shop.ranking(noise)))
    return sorted(results, key=lambda result: result[1])[shops // 2]


def main() -> None:
    print("| clicks per impression | users, split | lists won | users, interleaved | fewer by |\n|--:|--:|--:|--:|--:|")
    for noise in NOISES:
        lift, split = measured(noise, users_of_a_split)
        won, interleaved = measured(noise, users_of_interleaving)
        cells = f"+{lift:.1%}", rounded(split), f"{won:.1%}", rounded(interleaved), f"{split / interleaved:.0f} times"
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
