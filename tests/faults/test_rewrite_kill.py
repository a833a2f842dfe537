"""kill -9 while a user is erased, merged or unmerged, or an order refunded, at every step, and again while the next start completes
it: all tables are right.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from alsobought.failpoints import VARIABLE
from tests.support.project import ROOT

TABLES = sorted(path.stem for path in (ROOT / "sql" / "checks").glob("*.sql"))
POINTS = ["begun", "noted", "users", *TABLES, "serving", "moved", "deleted", "ended"]
USUAL = {
    "forget": ["deleted"],
    "merge": ["order_items"],
    "unmerge": ["moved"],
    "refund": ["co_baskets"],
}
CHILD = """
import json, random, sys
from datetime import UTC, datetime
from alsobought.counts.sum_checks import wrong_rows
from alsobought.events import Event
from alsobought.writer.submission import Submission
from alsobought.settings import Settings
from alsobought.users import User
from alsobought.service.service import open_service
from tests.support.project import ROOT

dsn, seed, change = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
shop = open_service(Settings(dsn=dsn, batch_seconds=0.001))
if seed:
    rng = random.Random(seed)
    rows = [
        Event(
            event_id=f"{seed}-{number}",
            event_type=rng.choice(["purchase", "purchase", "view"]),
            user_id=rng.choice([f"guest{seed}", "bruno", "cleo"]),
            item_id=f"i{rng.randrange(20)}",
            order_id=f"o{rng.randrange(5)}",
            session_id=f"s{rng.randrange(3)}",
            timestamp=datetime.now(UTC),
        )
        for number in range(120)
    ]
    shop.writer.submit(Submission(rows[:70])).result()
    shop.writer.submit(Submission([User(user_id=f"guest{seed}", attributes={f"a{seed}": seed})])).result()
    if change[0] == "unmerge":
        shop.do("merge", change[1], "bruno")
    shop.writer.submit(Submission(rows[70:])).result()
if change and change[0] == "refund":
    refund = [Event(event_type="refund", user_id=change[1], order_id=order, timestamp=datetime.now(UTC)) for order in ("o1", "o2")]
    shop.writer.submit(Submission(refund, waiting=True)).result()
elif change:
    shop.do(*change)
users = dict(shop.warehouse.trusted_rows("select user_id, count() from alsobought.events group by user_id").data)
wrong = {table: rows for table, rows in wrong_rows(shop.warehouse, ROOT / "sql" / "checks") if rows}
unfinished = shop.warehouse.trusted_rows("select count() from alsobought.rewrites final where not done or about != ''").data[0][0]
left = "select count() from alsobought.events where event_type = 'purchase' and order_id in ('o1', 'o2')"
left += " and user_id = {user:String}"
left = shop.warehouse.trusted_rows(left, {"user": change[1] if change else sys.argv[4]}).data[0][0]
sql = "select user_id, mapKeys(attributes) from alsobought.users final where not removed"
attributes = {user: sorted(names) for user, names in shop.warehouse.trusted_rows(sql).data}
shop.close()
print(json.dumps({"users": users, "wrong": wrong, "unfinished": unfinished, "left": left, "attributes": attributes}))
"""


def child(
    dsn: str, seed: int, change: list[str], point: str = "", user: str = "", *, fails: bool = False
) -> dict[str, Any]:
    """The report of a process at its end; empty if it was killed, or if it `fails`, as it may where its server is killed."""
    environment = {**os.environ, VARIABLE: point} if point else dict(os.environ)
    command = [sys.executable, "-c", CHILD, dsn, str(seed), json.dumps(change), user]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    expected = (0, 1) if fails else (-9,) if point and change else (0, -9) if point else (0,)
    assert ran.returncode in expected, ran.stderr[-2000:]
    report: dict[str, Any] = json.loads(ran.stdout) if ran.returncode == 0 else {}
    return report


def _events_of_guest(seed: int) -> int:
    """The number of events of this guest that CHILD makes."""
    rng = random.Random(seed)
    drawn = [
        [rng.choice([1, 2, 3]), rng.choice([True, False, False]), *map(rng.randrange, (20, 5, 3))] for _ in range(120)
    ]
    return sum(is_guest is True for _, is_guest, *_ in drawn)


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("forget", USUAL["forget"]),
        ("merge", USUAL["merge"]),
        pytest.param("unmerge", USUAL["unmerge"], marks=pytest.mark.thorough),
        pytest.param("unmerge", POINTS, marks=pytest.mark.thorough, id="unmerge-all"),
        pytest.param("refund", USUAL["refund"], marks=pytest.mark.thorough),
        pytest.param("forget", POINTS, marks=pytest.mark.thorough, id="forget-all"),
        pytest.param("merge", POINTS, marks=pytest.mark.thorough, id="merge-all"),
        pytest.param("refund", [one for one in POINTS if one != "moved"], marks=pytest.mark.thorough, id="refund-all"),
    ],
)
def test_a_rewrite_killed_at_any_step_is_completed_by_the_next_start(
    tmp_path: Path, kind: str, points: list[str]
) -> None:
    dsn = f"chdb://{tmp_path}/shop"
    events = 0
    for seed, point in enumerate(points, 1):
        change = [kind, f"guest{seed}", *(["bruno"] if kind == "merge" else [])]
        child(
            dsn, seed, change, f"rewrite.{point}" + (":2" if kind == "unmerge" else "")
        )  # the merge before it is not killed
        child(
            dsn, 0, [], f"rewrite.{point}"
        )  # the start that completes it is killed at the same step, if it reaches it
        report = child(dsn, 0, [], user=f"guest{seed}")
        events += 122 if kind == "refund" else 120
        guests = [f"guest{number}" for number in range(1, seed + 1)] if kind == "unmerge" else []
        assert (report["wrong"], report["unfinished"], report["left"] if kind != "unmerge" else 0) == ({}, 0, 0), point
        assert kind == "refund" or sorted(report["users"]) == sorted(["bruno", "cleo", *guests]), point
        assert (sum(report["users"].values()) == events) == (kind != "forget"), point
        seeds = range(1, seed + 1)
        assert report["attributes"] == {
            "forget": {},
            "merge": {"bruno": sorted(f"a{number}" for number in seeds)},
        }.get(kind, {f"guest{number}": [f"a{number}"] for number in seeds}), point
        if kind == "unmerge":
            assert report["users"][f"guest{seed}"] == _events_of_guest(seed), point
