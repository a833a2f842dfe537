"""What the service says of an experiment, for tests of its page."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

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
VARIANT: dict[str, Any] = {
    "comparison": None,
    "guardrails": [],
    "guardrail_sentences": [],
    "precision": "",
    "sentence": "",
}
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
IN_TURNS = REPORT | {
    "name": "turns",
    "headline": "ranked wins: users prefer it to control. It won 58 % of the decided lists (54 % to 62 %).",
    "preference": {"points": POINTS, "facts": ["won: ranked 242, control 121, by 241 users"]},
}
