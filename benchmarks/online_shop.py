"""Online learning against nightly learning in a simulated shop, through the SQL that serves, posted events and a service's refit.

    .venv/bin/python -m benchmarks.online_shop [--shoppers 1800] [--seeds 1]

Simulated shoppers see the pipe also_bought_ranked below the products that they search for. Until noon of the second day they like
cheap products, then within six hours dear ones. The same shoppers visit shops that differ in when they learn from clicks: at
midnight (`alsobought learn ranker --from clicks`), or every six hours (`OnlineLearning.refit`, as ALSOBOUGHT_LEARN_ONLINE does).
`best possible` ranks by the mean wish of those who search for the product. Two shops run at a time, each in a process of its own.
Writes online_shop.md and online_shop.svg.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np

from alsobought.console import err, no_bar, out, progress_bar
from alsobought.demo.simulator.products import Product, products
from alsobought.demo.simulator.shopper import WARM_UP_DAYS, Shopper, shoppers
from alsobought.demo.simulator.simulation import Plan, Simulation
from alsobought.demo.simulator.truth import Truth
from alsobought.demo.simulator.visit import BELOW, Clock
from alsobought.errors import Unusable
from alsobought.evaluation.simulated_shop import SimulatedShop, simulated_shop
from alsobought.learning.context import Context
from alsobought.learning.registry import learn
from alsobought.service.online_learning import OnlineLearning

HERE = Path(__file__).resolve().parent
DAYS, POSTS_A_DAY, SHOWN = 4, 4, 8
START = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)  # requests expire
TURN, TURN_DAYS = 1.5, 0.25  # the taste changes from then on, for so long
PRICE_EFFECT = 1.5  # on the log odds of a click, for a product that is one standard deviation cheaper
MEAN_LOG_PRICE, SPREAD_LOG_PRICE = 2.2, 0.8
ASKED = 300  # shoppers, whose mean wish is the best ranking
SURFACES = f"{BELOW}:\n  pipe: also_bought_ranked\n  limit: {SHOWN}\n"
BEST, NIGHTLY, ONLINE = "best possible", "each night", "online, every 6 hours"


@dataclass(frozen=True)
class Fashionable(Shopper):
    """A shopper whose taste for a price is that of all, and turns."""

    def wish(self, product: Product, day: float) -> float:
        liked = super().wish(product, day)
        dear = (math.log(product.price) - MEAN_LOG_PRICE) / SPREAD_LOG_PRICE
        turned = min(max((day - TURN) / TURN_DAYS, 0.0), 1.0)
        return 1 / (1 + (1 - liked) / liked * math.exp(PRICE_EFFECT * dear * (1 - 2 * turned)))


def fashionable(seed: int, count: int) -> list[Shopper]:
    names = [one.name for one in fields(Shopper)]
    return [Fashionable(**{name: getattr(one, name) for name in names}) for one in shoppers(seed, count, DAYS)]


Lists = Callable[[Sequence[str]], list[Any]]


@dataclass
class Listing:
    """A front door with one list on each page of a product; notes by recommendation_id the day and the shopper of each."""

    clock: Clock
    lists: Lists
    posts: Callable[[str, Any], Any] = lambda _path, _body: None
    asked: dict[str, tuple[float, str]] = field(default_factory=dict)

    def get(self, path: str) -> Any:
        return self.get_all([path])[0]

    def get_all(self, paths: Sequence[str]) -> list[Any]:
        queries = [parse_qs(path.partition("?")[2]) for path in paths]
        about = [number for number, query in enumerate(queries) if BELOW in query["surface"]]
        kept = [path.replace("surface=product_page.similar&", "") for path in paths]
        answers = dict(zip(about, self.lists([kept[number] for number in about]), strict=True))
        day = (self.clock.now - START) / timedelta(days=1)
        result = []
        for number, query in enumerate(queries):
            shown = answers.get(number, {"surfaces": {}})["surfaces"]
            if BELOW in shown:
                who = query.get("user_id", query.get("session_id", [""]))[0]
                self.asked[shown[BELOW]["recommendation_id"]] = day, who
            nothing: dict[str, Any] = {"recommendation_id": "", "experiment": None, "variant": None, "data": []}
            result.append({"surfaces": {surface: shown.get(surface, nothing) for surface in query["surface"]}})
        return result

    def post(self, path: str, body: Any) -> Any:
        return self.posts(path, body)


@dataclass
class Outcome:
    """Impressions and clicks by day and shopper."""

    shown: dict[tuple[float, str], int] = field(default_factory=Counter)
    clicked: dict[tuple[float, str], int] = field(default_factory=Counter)
    refits: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @classmethod
    def of(cls, truth: Truth, door: Listing) -> Outcome:
        outcome = cls()
        for link in truth.impressions:
            outcome.shown[door.asked[link.recommendation_id]] += 1
        for link in truth.clicks:
            outcome.clicked[door.asked[link.recommendation_id]] += 1
        return outcome

    def rate(self, begin: float, end: float) -> float:
        shown, clicked = (
            sum(count for (day, _), count in counts.items() if begin <= day < end)
            for counts in (self.shown, self.clicked)
        )
        return clicked / shown if shown else 0.0


def play(seed: int, count: int, learns: str) -> Outcome:
    """The shoppers of a seed in a shop that learns so."""
    plan = Plan(seed, count, DAYS, START, posts_a_day=POSTS_A_DAY)
    if learns == BEST:
        clock = Clock(START)
        door = Listing(clock, partial(best_lists, fashionable(seed, count)[:ASKED], products(seed, DAYS), clock))
        return _played(plan, door, clock, lambda: None, learns)
    with (
        simulated_shop(
            HERE.parent, START, surfaces=SURFACES, experiments="{{}}", learn_online=86_400 // POSTS_A_DAY
        ) as shop,
        learner(shop, learns) as (after_post, refits),
    ):
        door = Listing(shop.clock, shop.door.get_all, shop.door.post)
        outcome = _played(plan, door, shop.clock, after_post, learns)
        outcome.refits = refits
        return outcome


def _played(plan: Plan, door: Listing, clock: Clock, after_post: Callable[[], None], learns: str) -> Outcome:
    simulation = Simulation(door, clock, plan, after_post, people=fashionable(plan.seed, plan.shoppers))
    began = time.process_time()
    with progress_bar(err, f"seed {plan.seed}, {learns}", DAYS + WARM_UP_DAYS, "days") as advance:
        outcome = Outcome.of(simulation.run(advance), door)
    outcome.seconds = time.process_time() - began
    return outcome


@contextmanager
def learner(shop: SimulatedShop, learns: str) -> Iterator[tuple[Callable[[], None], Counter[str]]]:
    """What the shop does after each post, and the refits by outcome."""
    online, refits = OnlineLearning(shop.service.writer), Counter[str]()

    def after_post() -> None:
        shop.time_has_passed()
        if learns == ONLINE:
            refits[online.refit()] += 1
        elif learns == NIGHTLY and shop.clock.now.hour == 0 and shop.clock.now > START:
            refits[_learn(shop)] += 1
        shop.service.cache.clear()

    try:
        yield after_post, refits
    finally:
        online.stop()


def _learn(shop: SimulatedShop) -> str:
    """`alsobought learn ranker --from clicks`."""
    service = shop.service
    context = Context(
        service.warehouse,
        service.settings.home_folder,
        shop.clock.now,
        lambda title, total, _unit: no_bar(title, total),
        lambda table, replacement: service.do("swap in a learned table", table, replacement),
        service.settings.attribution_days,
    )
    try:
        learn("ranker", context, {"from": "clicks"})
    except Unusable as error:
        err.print(f"{shop.clock.now:%d %H:%M} {error}")
        return type(error).__name__
    return "accepted"


def best_lists(asked: Sequence[Shopper], sold: Sequence[Product], clock: Clock, paths: Sequence[str]) -> list[Any]:
    """Lists by the mean wish of those who search for the product, each as often as it is searched for."""
    day = (clock.now - START) / timedelta(days=1)
    on_sale = [one for one in sold if one.arrival <= day]
    wishes = np.asarray([[shopper.wish(one, day) for one in on_sale] for shopper in asked])
    scores = wishes.T @ wishes / wishes.sum(axis=0)[:, None]
    number = {one.item_id: at for at, one in enumerate(on_sale)}
    answers: list[dict[str, Any]] = []
    for path in paths:
        query = parse_qs(path.partition("?")[2])
        of_item = query["item_id"][0]
        order = [on_sale[at].item_id for at in np.argsort(-scores[number[of_item]], kind="stable").tolist()]
        rows = [{"item_id": item_id} for item_id in order if item_id != of_item][:SHOWN]
        recommendation_id = f"{clock.now.isoformat()} {query} {len(answers)}"
        answer = {"recommendation_id": recommendation_id, "experiment": None, "variant": None, "data": rows}
        answers.append({"surfaces": {BELOW: answer}})
    return answers


def ahead(one: Sequence[Outcome], other: Sequence[Outcome], begin: float, end: float) -> tuple[float, float, float]:
    """How much higher the click-through rate of one is, in points, with a 95 % interval: shoppers are resampled, as pairs."""
    sums: dict[tuple[int, str], list[float]] = defaultdict(lambda: [0.0] * 4)
    for seed, pair in enumerate(zip(one, other, strict=True)):
        for column, outcome in enumerate(pair):
            for offset, counts in enumerate((outcome.clicked, outcome.shown)):
                for (day, who), count in counts.items():
                    if begin <= day < end:
                        sums[seed, who][2 * column + offset] += count
    rows = np.asarray(list(sums.values()))
    random = np.random.default_rng(1)

    def gain(some: np.ndarray) -> float:
        clicked, shown, other_clicked, other_shown = some.sum(axis=0)
        return float(100 * (clicked / shown - other_clicked / other_shown))

    samples = [gain(rows[random.integers(0, len(rows), len(rows))]) for _ in range(1_000)]
    low, high = np.quantile(samples, [0.025, 0.975])
    return gain(rows), float(low), float(high)


def report(runs: Mapping[str, Sequence[Outcome]], count: int, seeds: int) -> str:
    rows = []
    for name, outcomes in runs.items():
        days = " | ".join(f"{100 * np.mean([one.rate(day, day + 1) for one in outcomes]):.1f}" for day in range(DAYS))
        refits = sum((one.refits for one in outcomes), Counter[str]())
        counted = f"{refits['accepted']} of {sum(refits.values()) - refits['']}" if refits else ""
        rows.append(f"| {name} | {days} | {counted} |")
    gains = [
        f"* In the {span}, the online ranker got {gain:.2f} points ({low:.2f} … {high:.2f}) more than the nightly one."
        for span, begin, end in (
            ("36 hours from the change on", TURN, TURN + 1.5),
            ("days from the change on", TURN, DAYS),
        )
        for gain, low, high in [ahead(runs[ONLINE], runs[NIGHTLY], begin, end)]
    ]
    shown = sum(sum(one.shown.values()) for one in runs[ONLINE])
    head = " | ".join(f"day {day}" for day in range(1, DAYS + 1))
    which = "seed 1" if seeds == 1 else f"seeds 1 to {seeds}"
    return f"""# Online learning in a simulated shop

Written by `python -m benchmarks.online_shop` on {datetime.now(UTC):%Y-%m-%d}: {count:,} shoppers, {DAYS} days, {which}.
Everything goes through the front door: lists are `GET /recommend` of the pipe `also_bought_ranked`, clicks are posted events, the
weights are those of the table `ranker_weights`. At noon of the second day the shoppers' taste turns within six hours, from cheap
products to dear ones ([details](online_shop.py)). A shop showed {shown:,} items.

Click-through rate in percent; and how many refits went into service:

| learns | {head} | refits |
|---|{"---:|" * DAYS}---|
{chr(10).join(rows)}

{chr(10).join(gains)}

Intervals are 95 %, by resampling shoppers. A refit that predicts the newest fifth of the impressions worse than the weights in
service, or no better than equal scores, is refused. The online ranker reads the impressions of two days, at most 20,000. Where
two days have fewer, as here, most of them are from before the change for another day: probably the reason why refits are refused
until then. In another simulation, with ten times the impressions, it follows within hours ([online.md](online.md)).

![Click-through rate by quarter of a day](online_shop.svg)
"""


def plot(runs: Mapping[str, Sequence[Outcome]], path: Path) -> None:
    from benchmarks.traffic import save, svg_figure

    figure, axes = svg_figure(7, 3.6)
    parts = np.arange(0, DAYS, 0.25)
    for name, outcomes in runs.items():
        rates = [100 * np.mean([one.rate(at, at + 0.25) for one in outcomes]) for at in parts]
        axes.plot(parts + 0.125, rates, label=name, linewidth=1.2)
    axes.axvspan(TURN, TURN + TURN_DAYS, alpha=0.15)
    axes.set_xlabel("day; in the shaded hours the taste changes")
    axes.set_ylabel("click-through rate, %")
    axes.legend(fontsize=7)
    save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--shoppers", type=int, default=1800)
    parser.add_argument("--seeds", type=int, default=1, help="number of seeds, from 1 on")
    arguments = parser.parse_args()
    seeds, names = range(1, arguments.seeds + 1), (NIGHTLY, ONLINE, BEST)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        played = {(name, seed): pool.submit(play, seed, arguments.shoppers, name) for seed in seeds for name in names}
        runs = {name: [played[name, seed].result() for seed in seeds] for name in names}
    for name, outcomes in runs.items():
        for seed, one in zip(seeds, outcomes, strict=True):
            days = " ".join(f"{100 * one.rate(day, day + 1):.1f}" for day in range(DAYS))
            out.print(f"seed {seed}, {name}: {days}; refits {dict(one.refits)}; {one.seconds:.0f} s of CPU")
    (HERE / "online_shop.md").write_text(report(runs, arguments.shoppers, arguments.seeds))
    plot(runs, HERE / "online_shop.svg")


if __name__ == "__main__":
    main()
