"""Synthetic shops are what they claim to be, and `make bench-scale` measures one and writes its page."""

from __future__ import annotations

import doctest
import math
from dataclasses import replace
from pathlib import Path

import pytest

from alsobought.counts.sum_checks import wrong_rows
from alsobought.service.service import Service
from benchmarks import growth, scale, synthetic
from benchmarks.scale import MILLISECONDS, NUMBERS, Found, Plan
from benchmarks.synthetic import Size
from tests.support.project import ROOT

TINY = Size(items=40, users=30, events=1_200)


@pytest.mark.embedded
def test_a_synthetic_shop_has_its_size_and_all_counts_of_its_events(shop: Service) -> None:
    advanced: list[int] = []
    synthetic.fill(shop, TINY, advanced.append)
    assert shop.do("refresh serving tables", 60) == 0
    assert sum(advanced) == TINY.events
    assert not [name for name, wrong in wrong_rows(shop.warehouse, ROOT / "sql" / "checks") if wrong]
    sql = f"""
        select count(), uniqExact(event_id), topK(1)(item_id)[1], uniqExact(user_id) between 20 and 30, max(category) != '',
            countIf(event_type = 'purchase') / uniqExactIf((user_id, order_id), event_type = 'purchase') between 7 and 9
        from {shop.warehouse.database}.events
    """
    assert shop.warehouse.trusted_rows(sql).data[0] == [1_200, 1_200, "i1", 1, 1, 1]


@pytest.mark.thorough
def test_a_tiny_shop_is_measured_and_its_page_written(tmp_path: Path) -> None:
    plan = Plan(TINY, [TINY.items], [TINY.users], [TINY.events], requests=1)
    found = scale.run(plan, tmp_path, tmp_path)
    assert not found.left_out
    assert {*MILLISECONDS, *NUMBERS} <= found.metrics[TINY].keys()
    assert all(math.isfinite(value) for values in found.metrics[TINY].values() for value in values)
    assert "all equal to a recompute" in (tmp_path / "scale.md").read_text()
    assert (tmp_path / "scale.svg").read_text().startswith("<?xml")
    larger = replace(TINY, events=12_000)
    found.metrics[larger] = found.metrics[TINY]
    assert "| also_bought |" in scale.page(found, replace(plan, events=[TINY.events, larger.events]))
    assert "x1 for x10" in scale.table(found, replace(plan, events=[TINY.events, larger.events]), "events")


def test_sizes_for_which_time_or_disk_are_short_are_left_out() -> None:
    found = Found({TINY: {"megabytes on disk": [1.2]}}, seconds={TINY: 12.0})
    larger = replace(TINY, events=1_200_000)
    assert not found.reason_against(larger, 15_000, 10e9)
    assert "minutes" in found.reason_against(larger, 10_000, 10e9)
    assert "disk" in found.reason_against(larger, 15_000, 4e9)


def test_growth_is_judged_by_each_step() -> None:
    assert doctest.testmod(growth).failed == 0
