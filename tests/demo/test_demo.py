"""`alsobought demo`: the toy shop from an empty folder to live answers, and the size of the Complete Journey."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from alsobought.counts.sum_checks import wrong_rows
from alsobought.demo import journey, toyshop
from alsobought.service.service import Service
from alsobought.storage.ledger import resume_offset
from alsobought.writer.submission import Submission
from tests.support.process import free_port
from tests.support.project import ROOT


class Demo:
    """`alsobought demo --dataset toyshop` in a folder."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        environ = {**os.environ, "ALSOBOUGHT_DATA": str(folder), "ALSOBOUGHT_PORT": str(self.port)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "alsobought", "demo", "--dataset", "toyshop"],
            env=environ,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout
        self.output = ""
        while "Stop" not in self.output:
            line = self.process.stdout.readline()
            assert line, self.output
            self.output += line

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as response:
            return json.loads(response.read())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.output += self.process.communicate(timeout=30)[0]
        return self.process.returncode


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "data"


@pytest.fixture(scope="module")
def demo(folder: Path) -> Iterator[Demo]:
    running = Demo(folder)
    yield running
    running.stop()


def test_the_demo_prints_a_request_that_works(demo: Demo) -> None:
    match = re.search(r"curl 'http://127.0.0.1:\d+(/pipes/also_bought\S+)'", demo.output)
    assert match
    assert demo.get(match[1])["data"][0]["other_item_id"] == toyshop.COMPANIONS["green-tea"]


@pytest.mark.parametrize("item", toyshop.COMPANIONS)
def test_the_companion_of_an_item_leads_also_bought(demo: Demo, item: str) -> None:
    best = demo.get(f"/pipes/also_bought?item_id={item}&limit=1")["data"][0]
    assert best["other_item_id"] == toyshop.COMPANIONS[item]


def test_large_baskets_do_not_hide_a_companion(demo: Demo) -> None:
    for item, companion in toyshop.OVERSHADOWED.items():
        assert demo.get(f"/pipes/also_bought?item_id={item}&limit=1")["data"][0]["other_item_id"] == companion


def test_the_rising_item_leads_trending_and_the_steady_bestseller_does_not(demo: Demo) -> None:
    items = [row["item_id"] for row in demo.get("/pipes/trending?limit=3")["data"]]
    assert items[0] == toyshop.RISING
    assert toyshop.STAPLE not in items


@pytest.mark.parametrize("shopper", toyshop.TASTES)
def test_for_you_has_something_new_of_a_shoppers_taste(demo: Demo, shopper: str) -> None:
    rows = demo.get(f"/pipes/for_you?user_id={shopper}&limit=5")["data"]
    assert toyshop.TASTES[shopper] in [row["category"] for row in rows]


def test_simulated_shoppers_add_events(demo: Demo) -> None:
    before = demo.get("/readyz")["as_of"]
    deadline = time.monotonic() + 30
    while demo.get("/readyz")["as_of"] == before:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.thorough
@pytest.mark.journey
def test_a_second_start_reuses_the_data_and_loads_it_again_after_a_migration(demo: Demo, folder: Path) -> None:
    events = demo.get("/pipes/active_users?limit=1")["data"][0]
    assert demo.stop() == 0
    again = Demo(folder)
    try:
        assert "Loaded" not in again.output
        assert again.get("/pipes/active_users?limit=1")["data"][0]["events"] >= events["events"]
    finally:
        again.stop()

    state = folder / "toyshop.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"migrations": 17}))
    again = Demo(folder)
    assert again.stop() == 0
    assert "loading it again" in again.output
    assert "Loaded" in again.output
    assert json.loads(state.read_text())["migrations"] > 17


def test_the_year_has_the_documented_size() -> None:
    lines = journey._lines()
    counts = [len(pc.unique(lines[column])) for column in ("household_id", "product_id", "basket_id")]
    assert (journey.size(), *counts) == (1_443_245, 2_467, 68_148, 141_087)
    assert len(list(journey.users())) == 801


def test_the_year_ends_this_week_and_keeps_its_weekdays() -> None:
    for today in (date(2026, 11, 22), date(2026, 11, 28), date(2027, 1, 3)):
        last_day = journey.last_time(journey.weeks_until(today)).date()
        assert 0 <= (today - last_day).days < 7
        assert last_day.weekday() == journey.LAST_DAY.weekday()


def test_a_load_starts_with_the_first_event(shop: Service) -> None:
    assert resume_offset(shop.warehouse, "journey") == 0


@pytest.mark.thorough
@pytest.mark.embedded  # other tests verify counts on a server
def test_two_weeks_of_the_year_are_counted_exactly(shop: Service) -> None:
    for start in range(0, 50_000, 12_500):
        rows = journey.events(400, start, 12_500)
        shop.writer.submit(Submission(rows, "journey", range(start, start + len(rows)))).result()
    while shop.do("refresh serving tables", 1.0):
        pass
    wrong = dict(wrong_rows(shop.warehouse, ROOT / "sql" / "checks"))
    assert wrong == dict.fromkeys(wrong, 0)
    assert shop.warehouse.value(f"select count() from {shop.settings.database}.events") == 50_000
