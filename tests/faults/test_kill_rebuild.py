"""kill -9 of a rebuild at every step: the old table stays in service, the next run completes, nothing counts twice."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.process import Run, running, serving, write
from tests.support.project import ROOT

ROWS = 400
CORRUPT = """
from alsobought.settings import from_environment
from alsobought.storage.clickhouse import open_warehouse
warehouse = open_warehouse(from_environment())
warehouse.command("insert into alsobought.{0} select * from alsobought.{0} settings insert_deduplicate = 0")
warehouse.close()
"""
IN_SERVICE = """
from alsobought.settings import from_environment
from alsobought.storage.clickhouse import open_warehouse
warehouse = open_warehouse(from_environment())
print(warehouse.trusted_rows("select sum(baskets) from alsobought.co_baskets").data[0][0])
warehouse.close()
"""
# Each point; True if the new table is in service by then; True if the next run resumes.
POINTS = [
    ("rebuild.made", False, False),
    ("rebuild.begun", False, False),
    ("rebuild.cache", False, False),
    ("rebuild.noted", False, False),
    ("rebuild.noted:3", False, True),
    ("rebuild.filled", False, True),
    ("rebuild.filled:3", False, True),
    ("rebuild.journal", False, True),
    ("rebuild.whole", False, True),
    ("rebuild.exchanged", True, False),
    ("rebuild.dropped", True, False),
]
FAST_POINTS = ("rebuild.filled:3", "rebuild.exchanged")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = running(tmp_path / "shop", ALSOBOUGHT_BATCH_ROWS="100")
    rows = [
        {
            "event_id": f"n{number}",
            "event_type": "purchase" if number % 3 else "view",
            "user_id": f"u{number // 9 % 20}",
            "item_id": f"i{number * 7 % 60}",
            "order_id": f"o{number // 9}",
            "timestamp": f"1999-01-{1 + number % 28:02}T12:00:00Z",
        }
        for number in range(ROWS)
    ]
    assert run("load", "events", write(tmp_path / "e.ndjson", *rows)).status == 0
    return run


def wrong(run: Run) -> dict[str, int]:
    """{table: wrong rows} after the start of a writer, which recovers."""
    folder = run.settings["ALSOBOUGHT_DATA"]
    verify = [sys.executable, "-m", "tests.faults.child", "verify", f"chdb://{folder}"]
    verified = json.loads(subprocess.run(verify, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout)
    assert verified["stored"] == {f"n{number}": 1 for number in range(ROWS)}
    return {table: rows for table, rows in verified["wrong"].items() if rows}


def resumed_at(out: str) -> int:
    match = re.search(r"([\d,]+) of them before it was interrupted", out)
    return int(match[1].replace(",", "")) if match else 0


@pytest.mark.parametrize(
    ("point", "new", "resumes"),
    [pytest.param(*point, marks=() if point[0] in FAST_POINTS else pytest.mark.thorough) for point in POINTS],
)
def test_a_rebuild_killed_at_any_step_leaves_a_complete_table_and_completes(
    run: Run, point: str, new: bool, resumes: bool
) -> None:
    correct = run.python(IN_SERVICE)
    run.python(CORRUPT.format("co_baskets"))
    corrupted = run.python(IN_SERVICE)
    assert int(corrupted) == 2 * int(correct)
    assert run("rebuild", "co_baskets", ALSOBOUGHT_FAILPOINT=point).status == -signal.SIGKILL
    assert run.python(IN_SERVICE) == (correct if new else corrupted)
    assert wrong(run).keys() == (set() if new else {"co_baskets"})
    ran = run("rebuild", "co_baskets")
    assert ran.status == 0, ran
    assert (resumed_at(ran.out) > 0) == resumes
    assert wrong(run) == {}
    assert run.python(IN_SERVICE) == correct


@pytest.mark.thorough
def test_a_rebuild_killed_again_and_again_completes(run: Run) -> None:
    run.python(CORRUPT.format("user_items"))
    statuses = [run("rebuild", "user_items", ALSOBOUGHT_FAILPOINT="rebuild.filled:2").status for _ in range(3)]
    assert statuses == [-signal.SIGKILL] * 2 + [0]
    assert wrong(run) == {}


@pytest.mark.parametrize("point", ["rebuild.noted:3", pytest.param("rebuild.filled:2", marks=pytest.mark.thorough)])
def test_a_rebuild_killed_beside_a_running_service_resumes_while_events_arrive(run: Run, point: str) -> None:
    run.python(CORRUPT.format("co_baskets"))
    order = {"event_type": "purchase", "user_id": "u1", "order_id": "new"}
    with serving(run) as service:
        assert run("rebuild", "co_baskets", ALSOBOUGHT_FAILPOINT=point).status == -signal.SIGKILL
        assert service.ask("/events?wait=true", [order | {"item_id": item} for item in ("i1", "i2")])[0] == 200
        ran = run("rebuild", "co_baskets")
        assert (ran.status, resumed_at(ran.out) > 0) == (0, True), ran
        assert run("check").status == 0
        assert service.ask("/events?wait=true", [order | {"item_id": "i3"}])[0] == 200
        assert run("check").status == 0
