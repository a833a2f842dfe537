"""kill -9 of a rebuild at every step: the old table stays in service, the next run completes,
nothing is counted twice.
"""

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
# Failpoint, whether the new table was in service by then, whether the next run resumes.
POINTS = [
    ("rebuild.created", False, False),
    ("rebuild.begun", False, False),
    ("rebuild.carried_over", False, False),
    ("rebuild.checkpointed", False, False),
    ("rebuild.checkpointed:3", False, True),
    ("rebuild.backfilled", False, True),
    ("rebuild.backfilled:3", False, True),
    ("rebuild.journal", False, True),
    ("rebuild.complete", False, True),
    ("rebuild.exchanged", True, False),
    ("rebuild.dropped", True, False),
]
USUAL = ("rebuild.exchanged",)  # what resumes: beside a running service, below


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
    """{table: wrong rows} after a writer has started and recovered."""
    folder = run.settings["ALSOBOUGHT_DATA"]
    verify = [sys.executable, "-m", "tests.faults.child", "verify", f"chdb://{folder}"]
    report = json.loads(subprocess.run(verify, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout)
    assert report["stored"] == {f"n{number}": 1 for number in range(ROWS)}
    return {table: rows for table, rows in report["wrong"].items() if rows}


def resumed(out: str) -> int:
    match = re.search(r"([\d,]+) of them before it was interrupted", out)
    return int(match[1].replace(",", "")) if match else 0


@pytest.mark.parametrize(
    ("point", "new", "resumes"),
    [pytest.param(*one, marks=() if one[0] in USUAL else pytest.mark.thorough) for one in POINTS],
)
def test_a_rebuild_killed_at_any_step_leaves_a_complete_table_and_resumes(
    run: Run, point: str, new: bool, resumes: bool
) -> None:
    right = run.python(IN_SERVICE)
    run.python(CORRUPT.format("co_baskets"))
    corrupted = run.python(IN_SERVICE)
    assert int(corrupted) == 2 * int(right)
    assert run("rebuild", "co_baskets", ALSOBOUGHT_FAILPOINT=point).status == -signal.SIGKILL
    assert run.python(IN_SERVICE) == (right if new else corrupted)
    made_of_pairs = {"item_companions", "item_wanted"}
    assert wrong(run).keys() - (set() if new else made_of_pairs) == (set() if new else {"co_baskets"})
    ran = run("rebuild", "co_baskets")
    assert ran.status == 0, ran
    assert (resumed(ran.out) > 0) == resumes
    assert wrong(run) == {}
    assert run.python(IN_SERVICE) == right


@pytest.mark.thorough
def test_a_rebuild_that_is_killed_repeatedly_completes(run: Run) -> None:
    run.python(CORRUPT.format("user_items"))
    ends = [run("rebuild", "user_items", ALSOBOUGHT_FAILPOINT="rebuild.backfilled:2").status for _ in range(3)]
    assert ends == [-signal.SIGKILL] * 2 + [0]
    assert wrong(run) == {}


@pytest.mark.parametrize(
    "point", ["rebuild.checkpointed:3", pytest.param("rebuild.backfilled:2", marks=pytest.mark.thorough)]
)
def test_a_command_killed_beside_a_running_service_is_resumed_while_events_arrive(run: Run, point: str) -> None:
    run.python(CORRUPT.format("co_baskets"))
    order = {"event_type": "purchase", "user_id": "u1", "order_id": "new"}
    with serving(run) as service:
        assert run("rebuild", "co_baskets", ALSOBOUGHT_FAILPOINT=point).status == -signal.SIGKILL
        assert service.ask("/events?wait=true", [order | {"item_id": item} for item in ("i1", "i2")])[0] == 200
        ran = run("rebuild", "co_baskets")
        assert (ran.status, resumed(ran.out) > 0) == (0, True), ran
        assert run("check").status == 0
        assert service.ask("/events?wait=true", [order | {"item_id": "i3"}])[0] == 200
        assert run("check").status == 0
