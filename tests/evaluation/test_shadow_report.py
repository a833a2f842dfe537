"""The report of shadows, from rows as the pipes have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from alsobought.evaluation.shadow_report import markdown, notes, shadow_report

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 8, tzinfo=UTC)
WHERE = {"surface": "home.top", "pipe": "for_you", "shadow": "rank"}
METRICS = WHERE | {
    **{"pairs": 1200, "errors": 3, "overlap": 0.41, "jaccard": 0.5, "empty": 0.0, "shadow_empty": 0.02},
    **{"median_ms": 12.0, "shadow_median_ms": 40.0, "p95_ms": 30.0, "shadow_p95_ms": 90.0},
    **{"clicks": 50, "clicks_listed": 30, "clicks_higher": 20, "clicks_lower": 5},
    **{"click_rank": 3.5, "shadow_click_rank": 2.25},
}
RATE = "shadow_click_through_rate"
ESTIMATE = WHERE | {
    **{"impressions": 4000, "effective_impressions": 1500.0, "supported": 0.82, "click_through_rate": 0.04},
    **{RATE: 0.05, f"{RATE}_low": 0.042, f"{RATE}_high": 0.058},
}


def report(*estimates: Mapping[str, Any]) -> tuple[str, list[str]]:
    rows: dict[str, Sequence[Mapping[str, Any]]] = {"shadow_metrics": [METRICS], "shadow_estimates": estimates}
    found = shadow_report(lambda pipe, _: rows[pipe], SINCE, UNTIL)
    return markdown(found), notes(found.shadows[0])


def test_a_shadow_is_compared_with_what_was_shown_and_its_rate_estimated() -> None:
    text, sentences = report(ESTIMATE)
    assert "## home.top: rank beside for_you" in text
    assert "| their mean rank, if in both | 3.50 | 2.25 |" in text
    assert "| higher, lower in the shadow |  | 20, 5 |" in text
    assert "| click-through rate, estimated | 4.00 % | 5.00 % (4.20, 5.80) |" in text
    assert sentences == ["The shadow lists 20 of the clicked items nowhere; its own other items could not be clicked"]


def test_without_exploration_there_is_no_estimate_and_a_word_on_what_to_do() -> None:
    text, sentences = report()
    assert "estimated" not in text
    assert "Set `explore: 0.1` among the parameters of the surface" in sentences[-1]
    other = ESTIMATE | {"pipe": "popular"}
    assert report(other) == (text, sentences), "of another pipe on the surface"


def test_an_estimate_that_rests_on_little_comes_with_a_warning() -> None:
    for weak in ({"effective_impressions": 40.0}, {"supported": 0.1}):
        assert "The shown lists say little about the shadow" in report(ESTIMATE | weak)[1][-1]
    assert "| 4.00 % | unknown |" in report(ESTIMATE | {"effective_impressions": 0.0})[0]
