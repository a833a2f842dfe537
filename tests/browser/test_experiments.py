"""The page of an experiment: its sentence first, the lift over the days, and the checks; for everybody and on a phone."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from tests.browser.test_workbench import LAPTOP, PHONE, Open, browser, home, open_page, service

__all__ = ["browser", "home", "open_page", "service"]
POINTS = [
    {
        "day": str(date(2026, 12, 1) + timedelta(days=n)),
        "lift": 0.08,
        "low": 0.08 - 1 / (n + 1),
        "high": 0.08 + 1 / (n + 1),
    }
    for n in range(14)
]
COMPARISON = {"metric": "revenue_per_unit", "title": "revenue per user", "points": POINTS}
VARIANT = {"comparison": None, "guardrails": [], "guardrail_sentences": [], "precision": "", "sentence": ""}
REPORT = {
    "name": "ranked",
    "surface": "cart",
    "state": "running",
    "since": "2026-12-01",
    "until": "2026-12-31",
    "day": 14,
    "unit": "user",
    "headline": "ranked wins: +8 % revenue per user (+0.9 % to +15 %).",
    "advice": "Give the surface what ranked has, and end the experiment with `until`.",
    "split_broken": False,
    "crossed": 3,
    "holdout": COMPARISON,
    "holdout_sentence": "Recommendations on cart earn +8 % revenue per user compared with showing nothing.",
    "sample_ratios": [{"sentence": "as planned, of those who saw a list: control 500, ranked 501", "broken": False}],
    "variants": [
        VARIANT | {"name": "control", "row": ["control", "50 %", "500", "10", "", "", "control"]},
        VARIANT
        | {
            "name": "ranked",
            "row": ["ranked", "50 %", "501", "10.8", "+8 %", "+0.9 % to +15 %", "wins"],
            "comparison": COMPARISON,
            "precision": "A lift of 4 % would be found by now.",
            "guardrails": [{"breached": True}],
            "guardrail_sentences": ["clicks per impression: breached"],
        },
    ],
}


def answer(route: Route) -> None:
    route.fulfill(content_type="application/json", body=json.dumps(REPORT))


@pytest.mark.parametrize(("size", "scheme"), [(LAPTOP, "light"), (PHONE, "dark")], ids=["laptop", "phone"])
def test_an_experiment_is_a_sentence_a_picture_and_its_checks(open_page: Open, size: Any, scheme: str) -> None:
    page: Page = open_page("#/experiments", size, color_scheme=scheme)
    expect(page.get_by_text("There is no experiment yet")).to_be_visible(timeout=60_000)
    page.route("**/workbench/experiments/ranked", answer)
    page.goto(f"{page.url.split('#')[0]}#/experiments/ranked")
    expect(page.get_by_role("status").filter(has_text="ranked wins: +8 % revenue per user")).to_be_visible()
    picture = page.get_by_role("img", name="Lift in revenue per user: +8 % on 14 Dec, between +0.9 % and +15 %")
    expect(picture.first).to_be_visible()
    expect(page.locator("polygon.band")).to_have_count(2)
    expect(page.get_by_role("region", name="Checks")).to_contain_text("3 users saw two variants and are left out")
    assert Axe().run(page).response["violations"] == []
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.get_by_role("link", name="all experiments").click()
    expect(page.get_by_text("There is no experiment yet")).to_be_visible()
