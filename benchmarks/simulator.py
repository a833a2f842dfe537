# ruff: noqa: E501, RUF001  (the page is a template, with its typography)
"""Are the reports of a shop true of simulated shoppers? One large run claim by claim, and small ones with other seeds for coverage.

    .venv/bin/python -m benchmarks.simulator [--shoppers 1500] [--days 14] [--seeds 6] [--results FOLDER]

Each run is `alsobought simulate --json` in a process of its own, two at a time. Runs whose result is in FOLDER are not repeated.
Writes simulator.md.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from alsobought.console import out

HERE = Path(__file__).resolve().parent
SEED = 7
SMALL_SHOPPERS, SMALL_DAYS = 400, 10
LIFT, RATE = "lift over the holdout", "click-through rate"
SECONDS_BEFORE = 222  # of 300 shoppers in 14 days, when each page asked alone and the warm-up had no products
Claim = Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    shoppers: int
    days: int
    seed: int

    @property
    def command(self) -> str:
        return f"alsobought simulate --shoppers {self.shoppers} --days {self.days} --seed {self.seed}"

    def result(self, folder: Path) -> dict[str, Any]:
        """The JSON of the command. An exit status of 1 is a violated claim, and has JSON too."""
        file = folder / f"{self.shoppers}-{self.days}-{self.seed}.json"
        if not file.exists():
            arguments = [sys.executable, "-m", *self.command.split(), "--json"]
            done = subprocess.run(arguments, stdout=subprocess.PIPE, check=False)
            if not done.stdout:
                raise RuntimeError(f"`{self.command}` printed nothing; exit status {done.returncode}")
            file.write_bytes(done.stdout)
        result: dict[str, Any] = json.loads(file.read_text())
        out.print(f"{self.command}: {result['cpu_seconds']['all']:.0f} s of CPU")
        return result


def lift_of(result: Mapping[str, Any]) -> Claim:
    return next(claim for claim in result["claims"] if claim["what"] == LIFT)


def cell(value: float | str | None) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"`{value}`"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}" if abs(value) >= 10 else f"{value:.4f}"


def interval(claim: Claim) -> str:
    return "" if claim["low"] is None else f" ({claim['low']:.4f} … {claim['high']:.4f})"


def claim_rows(claims: Sequence[Claim]) -> str:
    return "\n".join(
        f"| {one['what']} | `{one['where']}` | {cell(one['true'])} | {cell(one['reported'])}{interval(one)} | {one['verdict']} |"
        for one in claims
    )


def lift_rows(results: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for result in results:
        lift = lift_of(result)
        reported = "too few units"
        if lift["low"] is not None:
            reported = f"{lift['reported']:+.1%} ({lift['low']:+.1%} … {lift['high']:+.1%})"
        size = f"{result['shoppers']:,} × {result['days']}"
        seconds = result["cpu_seconds"]["all"]
        rows.append(
            f"| {result['seed']} | {size} | {lift['true']:+.1%} | {reported} | {lift['verdict']} | {seconds:.0f} |"
        )
    return "\n".join(rows)


def held(claims: Sequence[Claim]) -> str:
    """How many intervals of 95 % hold the truth."""
    return f"{sum(claim['low'] <= claim['true'] <= claim['high'] for claim in claims)} of {len(claims)}"


def deviation(lifts: Sequence[Claim]) -> str:
    """Mean difference of the logarithms of reported and true lifts, with its standard error."""
    off = np.asarray([math.log1p(one["reported"]) - math.log1p(one["true"]) for one in lifts])
    return f"{off.mean():+.3f} ± {off.std(ddof=1) / math.sqrt(len(off)):.3f}"


def report(
    large: Mapping[str, Any], all_results: Sequence[Mapping[str, Any]], first_size: Mapping[str, Any] | None
) -> str:
    counts, seconds, lift = large["counts"], large["cpu_seconds"], lift_of(large)
    claims = [claim for result in all_results for claim in result["claims"]]
    violated = [claim for claim in claims if claim["verdict"] == "violated"]
    lifts = [claim for claim in map(lift_of, all_results) if claim["low"] is not None]
    rates = [claim for claim in claims if claim["what"] == RATE]
    exact = [
        claim
        for claim in claims
        if claim["low"] is None and isinstance(claim["true"], (int, float)) and claim["verdict"]
    ]
    equal = sum(claim["verdict"] == "exact" for claim in exact)
    better = [claim for claim in claims if claim["what"] == "better variant"]
    named = sum(claim["verdict"] == "agrees" for claim in better)
    excluding = sum(claim["low"] > 0 for claim in lifts)
    by_what = {claim["what"]: claim for claim in large["claims"] if claim["where"] == "all"}
    revenue, purchases = by_what["revenue because of lists"], by_what["purchases because of lists"]
    cost = ""
    if first_size:
        now = first_size["cpu_seconds"]
        cost = (
            f" 300 shoppers in 14 days take {now['all']:.0f} s, where they took {SECONDS_BEFORE} s before: pages ask together, so that"
            " the shop answers them with joint queries, and events are posted once a day."
        )
    command = Run(large["shoppers"], large["days"], large["seed"]).command
    return f"""# Reports beside the truth

Written by `python -m benchmarks.simulator` on {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, on two cores that had other work.
[What is simulated](../docs/how-to/evaluate.md#simulated-shoppers).

* **Counts**: {equal:,} of {len(exact):,} are equal to the truth, of {len(all_results)} runs.
* **Click-through rates**: {held(rates)} intervals of 95 % hold the truth.
* **The better variant** is named in {named} of {len(better)} runs, and the worse one in {sum(claim["verdict"] == "violated" for claim in better)}; the others are undecided.
* **The lift over the holdout**: {held(lifts)} intervals hold the truth, {excluding} exclude 0. Mean of ln(1 + reported) − ln(1 + true): {deviation(lifts)} (standard error), so the estimate has no bias that these runs could show.
* {len(violated)} claims are violated.

## The lift, by seed

| seed | shoppers × days | true | reported | verdict | CPU s |
|---:|---|---:|---|---|---:|
{lift_rows(all_results)}

True is what the shoppers of the control spent beside what the same shoppers would have spent without the lists of the home page.
Reported is the control compared with the holdout: other shoppers. Both are a ratio of mean revenue per shopper, from the first visit to
the last day, so they differ by chance alone. The interval holds on all days together, 3.05 standard errors at the end; revenue per
shopper has a standard deviation of 1.2 times its mean, and what a shopper spent before explains 3 % of it at most, so CUPED does not
narrow it. The number of shoppers does.

## Claim by claim

`{command}`: {counts["lists"]:,} lists and {counts["events"]:,} posted events, of which {counts["repeated"]:,} came twice,
{counts["forged"]} had a forged and {counts["expired"]} an expired recommendation id; {counts["merges"]} guests logged in.

| | of | true | reported | verdict |
|---|---|---:|---:|---|
{claim_rows(large["claims"])}

* The lift of {lift["true"]:.0%} is reported as {lift["reported"]:.0%} ({lift["low"]:.0%} … {lift["high"]:.0%}).
* Attribution claims {revenue["reported"] / revenue["true"] - 1:+.0%} beside the revenue that lists earn, and {purchases["reported"] / purchases["true"] - 1:+.0%} beside the purchases: who would have bought
  anyway clicks in lists, too, and what lists sell displaces other purchases.

## Cost

This run took {seconds["all"]:.0f} s of CPU, {seconds["shop"] / seconds["all"]:.0%} of them in the shop and the rest in the simulation.{cost}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--shoppers", type=int, default=1500, help="of the large run")
    parser.add_argument("--days", type=int, default=14, help="of the large run")
    parser.add_argument("--seeds", type=int, default=6, help="number of small runs, with the seeds from 1 on")
    parser.add_argument("--results", type=Path, help="a folder that keeps the results of runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = arguments.results or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        small = [Run(SMALL_SHOPPERS, SMALL_DAYS, seed) for seed in range(1, arguments.seeds + 1)]
        runs = [Run(arguments.shoppers, arguments.days, SEED), Run(300, 14, SEED), *small]
        with ThreadPoolExecutor(2) as pool:
            large, first_size, *others = pool.map(lambda run: run.result(folder), runs)
    (HERE / "simulator.md").write_text(report(large, [large, first_size, *others], first_size))


if __name__ == "__main__":
    main()
