"""Does a ranker that learns while the shop runs follow a change of taste sooner than one that learns each night?

    .venv/bin/python -m benchmarks.online [--runs 3]

A simulated shop shows lists of ten items out of sixty, ranked by the weights of `learning.click_model` as the SQL ranks. Users look
at position p with the probability p^-0.7, and click what they look at by tastes that nobody knows. At noon of the third day the
taste for a price and for new items reverses within six hours. Four rankers see the same visitors: one never learns, two learn at
midnight from all impressions or from those of two days, one refits each hour as ALSOBOUGHT_LEARN_ONLINE does (a service may do so
each minute). Learning and its guard are `learning.ranker_clicks.refit_model`. Writes online.md and online.svg.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from alsobought.console import out
from alsobought.learning.click_model import weights_of_rows
from alsobought.learning.ranker_clicks import refit_model
from alsobought.service.online_learning import OPTIONS

HERE = Path(__file__).resolve().parent
FEATURES = ("together", "price", "new", "category", "recent")  # the first one is the formula
BEFORE = np.array([0.5, -0.9, -0.5, 0.6, 0.3])  # the effect of each on the log odds of a click
AFTER = np.array([0.5, 0.9, 0.7, 0.6, 0.3])
CANDIDATES, SHOWN, BASE = 60, 10, -2.2
EXPLORE = 0.1
Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Plan:
    days: int = 5
    lists_an_hour: int = 100
    drift_begins: int = 2 * 24 + 12  # in hours
    drift_hours: int = 6

    @property
    def hours(self) -> int:
        return 24 * self.days

    def taste(self, hour: int) -> np.ndarray:
        share = min(max((hour - self.drift_begins) / self.drift_hours, 0.0), 1.0)
        return np.asarray(BEFORE + share * (AFTER - BEFORE))


@dataclass
class Ranker:
    """Learns every `every` hours from the newest `impressions`; `clicks` and `refused` are by hour."""

    every: int
    impressions: int
    l2: float
    rows: list[dict[str, Any]] = field(default_factory=list)
    seen: list[Columns] = field(default_factory=list)
    clicks: list[float] = field(default_factory=list)
    refused: int = 0
    refits: int = 0
    seconds: float = 0.0

    def scores(self, features: np.ndarray) -> np.ndarray:
        if not self.rows:
            return np.asarray(features[:, 0])
        weights = weights_of_rows(self.rows)
        columns = weights.columns({name: features[:, at] for at, name in enumerate(FEATURES)})
        return np.asarray(columns @ weights.values)

    def learn(self, hour: int) -> None:
        if not self.every or not hour or hour % self.every or not self.seen:
            return
        whole = {name: np.concatenate([part[name] for part in self.seen]) for name in self.seen[0]}
        newest = {name: values[-self.impressions :] for name, values in whole.items()}
        self.seen = [newest]
        began = time.process_time()
        refitted = refit_model(newest, self.rows, "click", 10, self.l2)
        self.seconds += time.process_time() - began
        self.refits += 1
        if refitted.is_worse:
            self.refused += 1
        else:
            self.rows = refitted.rows


def rankers() -> dict[str, Ranker]:
    return {
        "never": Ranker(0, 1, 1.0),
        "each night, from all": Ranker(24, 1_000_000, 1.0),
        "each night, from two days": Ranker(24, 48_000, 1.0),
        "online, each hour": Ranker(1, OPTIONS["impressions"], OPTIONS["l2"]),
    }


def simulate(seed: int, plan: Plan, make: Callable[[], Mapping[str, Ranker]] = rankers) -> dict[str, Ranker]:
    """All rankers see the same visitors and candidates. `best` ranks by the taste itself."""
    compared = {**make(), "best possible": Ranker(0, 1, 1.0)}
    random = np.random.default_rng(seed)
    for hour in range(plan.hours):
        features = random.normal(size=(plan.lists_an_hour * CANDIDATES, len(FEATURES)))
        features[:, 0] -= 4
        attraction = features @ plan.taste(hour) + BASE + 4 * plan.taste(hour)[0]
        chances = (random.uniform(size=(plan.lists_an_hour, SHOWN)), random.uniform(size=(plan.lists_an_hour, SHOWN)))
        others = random.integers(SHOWN, CANDIDATES, size=(plan.lists_an_hour, SHOWN))
        for name, ranker in compared.items():
            ranker.learn(hour)
            scores = attraction if name == "best possible" else ranker.scores(features)
            show(ranker, hour, features, attraction, scores, (*chances, others))
    return compared


def show(
    ranker: Ranker,
    hour: int,
    features: np.ndarray,
    attraction: np.ndarray,
    scores: np.ndarray,
    chances: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """An hour's lists: a tenth of the positions show an item from further down, and users click."""
    looks, explores, others = chances
    lists = len(looks)
    order = np.argsort(-scores.reshape(lists, CANDIDATES), axis=1, kind="stable")
    explored = explores < EXPLORE
    ranks = np.where(explored, others, np.arange(SHOWN))
    rows = np.take_along_axis(order, ranks, axis=1) + CANDIDATES * np.arange(lists)[:, None]
    position = np.tile(np.arange(1, SHOWN + 1), (lists, 1))
    clicked = looks < position**-0.7 / (1 + np.exp(-attraction[rows]))
    ranker.clicks.append(float(clicked.mean()))
    flat = rows.ravel()
    ranker.seen.append(
        {name: features[flat, at] for at, name in enumerate(FEATURES)}
        | {
            "list_key": np.repeat(np.arange(lists), SHOWN),
            "item_key": flat,
            "listed": np.full(flat.size, hour),
            "position": position.ravel(),
            "clicked": clicked.ravel().astype(float),
            "bought": np.zeros(flat.size),
            "explored": explored.ravel(),
        }
    )


def click_rates(ranker: Ranker, plan: Plan) -> dict[str, float]:
    """Before the drift (from the second day on), on the 36 hours after its begin, and later."""
    rates, begin = np.asarray(ranker.clicks), plan.drift_begins
    return {
        "before": float(rates[24:begin].mean()),
        "after": float(rates[begin : begin + 36].mean()),
        "later": float(rates[begin + 36 :].mean()),
    }


def interval(values: np.ndarray) -> str:
    """Mean and 95 % interval over the runs (Student), in percent."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{100 * values.mean():.2f} ± {100 * half:.2f}"


def plot(runs: list[dict[str, Ranker]], plan: Plan, path: Path) -> None:
    from benchmarks.traffic import save, svg_figure

    figure, axes = svg_figure(7, 3.6)
    for name in runs[0]:
        hourly = np.asarray([run[name].clicks for run in runs]).mean(axis=0)
        smooth = np.convolve(hourly, np.ones(4) / 4, "valid")
        axes.plot(np.arange(len(smooth)) / 24 + 4 / 24, 100 * smooth, label=name, linewidth=1.2)
    axes.axvspan(plan.drift_begins / 24, (plan.drift_begins + plan.drift_hours) / 24, alpha=0.15)
    axes.set_xlabel("day; in the shaded hours the taste changes")
    axes.set_ylabel("click-through rate, %")
    axes.legend(fontsize=7)
    save(figure, path)


def report(runs: list[dict[str, Ranker]], plan: Plan) -> str:
    rates = {name: [click_rates(run[name], plan) for run in runs] for name in runs[0]}
    lines = []
    for name, of_runs in rates.items():
        cells = [interval(np.asarray([one[part] for one in of_runs])) for part in ("before", "after", "later")]
        refits = [run[name].refits for run in runs]
        refused = [run[name].refused for run in runs]
        seconds = sum(run[name].seconds for run in runs) / max(1, sum(refits))
        cost = f"{np.mean(refits):.0f}, {np.mean(refused):.0f} refused | {1000 * seconds:.0f}" if any(refits) else "|"
        lines.append(f"| {name} | {' | '.join(cells)} | {cost} |")
    online, others = rates["online, each hour"], [name for name in rates if name.startswith("each night")]
    gains = []
    for name in others:
        ahead = np.asarray([a["after"] - b["after"] for a, b in zip(online, rates[name], strict=True)])
        gains.append(
            f"{interval(ahead)} points more than {name.replace('each night,', 'the one that learns each night')}"
        )
    count = f"{len(runs)} runs (seeds 1 to {len(runs)})"
    return f"""# Learning from clicks each hour or each night

Written by `python -m benchmarks.online` on {datetime.now(UTC):%Y-%m-%d}: {count}, Python {platform.python_version()}.
A simulated shop with a position bias (p^-0.7), {EXPLORE:.0%} exploration and {24 * plan.lists_an_hour:,} lists of {SHOWN} a day,
whose users change their taste within {plan.drift_hours} hours from noon of the third day on ([details](online.py)).
It shows how rankers follow a change, not how large the gain is in your shop.

Click-through rate in percent, with 95 % intervals over the runs:

| learns | before | 36 hours from the change on | later | refits | ms each (CPU) |
|---|---|---|---|---|---|
{chr(10).join(lines)}

In the 36 hours from the change on, the online ranker got {", and ".join(gains)}, in pairs of runs with the same visitors.

![Click-through rate by hour](online.svg)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=3, help="number of runs, each with another seed")
    arguments = parser.parse_args()
    plan, runs = Plan(), []
    for seed in range(1, arguments.runs + 1):
        runs.append(simulate(seed, plan))
        out.print(f"run {seed}: " + ", ".join(f"{name} {np.mean(one.clicks):.4f}" for name, one in runs[-1].items()))
        if len(runs) > 1:  # an interval needs two
            (HERE / "online.md").write_text(report(runs, plan))
            plot(runs, plan, HERE / "online.svg")


if __name__ == "__main__":
    main()
