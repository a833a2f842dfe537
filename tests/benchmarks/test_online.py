"""In a small simulation a ranker that learns while taste changes beats one that learns at night."""

from __future__ import annotations

import numpy as np

from benchmarks.online import Plan, Ranker, click_rates, interval, simulate


def test_the_online_ranker_follows_a_change_of_taste() -> None:
    plan = Plan(days=3, lists_an_hour=40, drift_begins=26, drift_hours=1)

    def make() -> dict[str, Ranker]:
        return {"nightly": Ranker(24, 100_000, 1.0), "online": Ranker(4, 4_000, 10.0)}

    compared = simulate(1, plan, make)
    after = {name: click_rates(ranker, plan)["after"] for name, ranker in compared.items()}
    assert after["nightly"] + 0.03 < after["online"] < after["best possible"]
    assert compared["nightly"].refits == 2


def test_an_interval_is_in_percent() -> None:
    assert interval(np.array([0.1, 0.2])) == "15.00 ± 63.53"
    assert interval(np.array([0.1, 0.1])) == "10.00 ± 0.00"
