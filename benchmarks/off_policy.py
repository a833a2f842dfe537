"""How good off-policy estimates are: on synthetic logs whose truth is known, and beside those of obp.

    .venv/bin/python -m benchmarks.off_policy [--logs 400]

Writes off_policy.md. The numbers of obp are in tests/off_policy/obp.json, which tests/off_policy/make_obp.py writes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from alsobought.off_policy.estimators import Log, doubly_robust, ips, snips, weights
from alsobought.off_policy.evaluation import evaluate
from tests.off_policy.logged_lists import Logged, logged_lists

HERE = Path(__file__).resolve().parent
OBP = HERE.parent / "tests" / "off_policy" / "obp.json"
NAMES = {"ips": "IPS", "snips": "SNIPS", "dr": "DR"}
SHOPS: dict[str, dict[str, Any]] = {
    "explore 0.4, a draw for each list": {"explore": 0.4},
    "explore 0.1, a draw for each list": {"explore": 0.1},
    "explore 0.1, ten times as many users": {"explore": 0.1, "users": 4000},
    "explore 0.4, all users share 12 draws": {"explore": 0.4, "shared_draws": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logs", type=int, default=400)
    logs = parser.parse_args().logs
    lines = [*_head(logs), *_beside_obp(), "", *_truth(logs)]
    (HERE / "off_policy.md").write_text("\n".join(lines) + "\n")


def _log(logged: Logged) -> Log:
    return Log(**{name: values for name, values in vars(logged).items() if name != "truth"})


def _head(logs: int) -> Iterator[str]:
    yield "# Off-policy estimates"
    yield ""
    yield f"{logs} synthetic logs of each kind (`tests/off_policy/logged_lists.py`), with a truth that is known: 400 users with"
    yield "three lists of four items out of twelve, an order by taste, position bias, users who click more or less. The new lists"
    yield "take the first alternative at every second position, so that the log supports all of them."
    yield "`python -m benchmarks.off_policy` measures again."


def _beside_obp() -> Iterator[str]:
    """The estimates of one log by both, with the same model of the reward for DR."""
    found = json.loads(OBP.read_text())
    log, model = _log(logged_lists(found["seed"])), np.array(found["model"])
    weight = weights(log)
    shown, new = (model[items, log.positions - 1] for items in (log.items, log.new_items))
    ours = {
        "ips": ips(weight, log.rewards).value,
        "snips": snips(weight, log.rewards).value,
        "dr": doubly_robust(weight, log.rewards, shown, new).value,
    }
    yield from ("", f"## Beside obp {found['obp']}", "", "| | ours | obp | difference |", "|---|---:|---:|---:|")
    for key, name in NAMES.items():
        yield f"| {name} | {ours[key]:.8f} | {found[key]:.8f} | {abs(ours[key] - found[key]):.1e} |"


def _truth(logs: int) -> Iterator[str]:
    yield from (
        "## Beside the truth",
        "",
        "Coverage is the share of 95 % intervals that hold the truth; errors are in percentage points.",
        "",
    )
    yield "| log | estimate | truth | mean error | root mean square error | width of the interval | coverage |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    for name, shop in SHOPS.items():
        made = [logged_lists(5000 + seed, **shop) for seed in range(logs)]
        found = [evaluate(_log(one), {"clicks": one.rewards}).metrics["clicks"] for one in made]
        truth = made[0].truth
        for key, title in NAMES.items():
            rows = np.array([[(e := getattr(one, key)).value, e.low, e.high] for one in found])
            error = 100 * (rows[:, 0] - truth)
            held = ((rows[:, 1] <= truth) & (truth <= rows[:, 2])).mean()
            width = 100 * (rows[:, 2] - rows[:, 1]).mean()
            yield (
                f"| {name} | {title} | {100 * truth:.2f} % | {error.mean():+.2f} | {np.sqrt((error**2).mean()):.2f} | {width:.2f} |"
                f" {100 * held:.1f} % |"
            )


if __name__ == "__main__":
    main()
