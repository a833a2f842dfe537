"""A warehouse of version 0.1 upgrades: same counts, same answers, and everything that came before
or meanwhile counts once.

The tests take the migrations that are there: a new one needs no line here.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import Run, serving, write
from tests.upgrade.conftest import HERE, YOUNGER, Old, events_of

pytestmark = pytest.mark.journey

FORGOTTEN = "bruno"  # by 0.1; older events of theirs count for nothing when they come in
STEPS = ("migrate.started", "migrate.ran", "migrate.applied")
# Why a pipe answers the same request differently than in 0.1.
CHANGED_ANSWERS = {
    "bought_together": "recent baskets count more",
    "for_you": "categories weigh by what a user did lately",
    "buy_again": "for_you fills its lists",
    **dict.fromkeys(
        ("find_items", "from_your_categories", "new_items", "popular", "trending"), "a person counts once a day"
    ),
    "similar_by_attributes": "trending fills its lists",
    "all_items": "items with as many buyers have another order, the same for every limit",
}
NEW = [
    {
        "event_type": "purchase",
        "user_id": "new-user",
        "order_id": "new-order",
        "item_id": item,
        "event_id": f"new-{item}",
    }
    for item in ("green-tea", "teapot", "honey")
]
SCHEMA = """
from alsobought.settings import from_environment
from alsobought.storage.clickhouse import open_warehouse
warehouse = open_warehouse(from_environment())
sql = "select name, create_table_query from system.tables where database = 'alsobought' order by name"
print(warehouse.trusted_rows(sql).data)
warehouse.close()
"""


def report(run: Run, what: str, facts: Path = HERE / "answers-0.1.json") -> Any:
    """The `answers` or the `counts` of a warehouse."""
    ran = replace(run, start=("-m", "tests.upgrade.report"), timeout=300.0)(what, facts)
    assert ran.status == 0, ran.err
    return json.loads(ran.out)


def assert_consistent(run: Run) -> None:
    ran = run("check")
    assert (ran.status, ran.err) == (0, ""), ran.out


def assert_same_counts(reported: dict[str, Any], facts: dict[str, Any]) -> None:
    assert reported["rows"] == facts["rows"]
    expected = {name: [table["rows"], table["checksum"]] for name, table in facts["count_tables"].items()}
    assert reported["count_tables"] == expected


def assert_same_answers(reported: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Columns that today's pipes have beyond those of 0.1 are no difference."""
    for now, then in zip(reported, expected, strict=True):
        if now["pipe"] in CHANGED_ANSWERS:
            continue
        rows = [{column: row[column] for column in old} for row, old in zip(now["rows"], then["rows"], strict=False)]
        request = f"{then['pipe']} {then['parameters']}"
        assert len(now["rows"]) == len(then["rows"]), request
        for row, old in zip(rows, then["rows"], strict=True):
            assert row == {k: pytest.approx(v) if isinstance(v, float | list) else v for k, v in old.items()}, request


def count(run: Run, sql: str) -> int:
    return int(
        run.python(f"""
        from alsobought.settings import from_environment
        from alsobought.storage.clickhouse import open_warehouse
        warehouse = open_warehouse(from_environment())
        print(warehouse.trusted_rows({sql!r}).data[0][0])
        warehouse.close()
        """)
    )


def migrate(run: Run) -> None:
    """As docs/how-to/upgrade.md has it: the migrations, and the tables that these name."""
    migrated = run("migrate", "up")
    assert migrated.status == 0, migrated.err
    names = re.findall(r"`alsobought rebuild (\w+)`", migrated.out)
    assert names
    assert run("rebuild", *dict.fromkeys(names)).status == 0


def test_an_upgraded_warehouse_is_consistent_and_gives_the_answers_of_0_1(old: Old) -> None:
    migrate(old.run)
    assert_consistent(old.run)
    assert_same_counts(report(old.run, "counts"), old.facts)
    for home in (old.texts, old.home):  # the pipes of 0.1, which an engineer may have changed, and today's
        assert_same_answers(report(old.run.at(home), "answers"), old.facts["answers"])


def test_a_table_that_lost_the_last_batch_gets_it_before_its_view_changes(old: Old) -> None:
    table = old.folder / "data" / "data" / "alsobought" / "daily_popularity"
    log = max((table / "deduplication_logs").glob("*.txt"), key=lambda path: int(path.stem.rpartition("_")[2]))
    shutil.rmtree(table / log.read_text().splitlines()[-1].split("\t")[1])
    (old.folder / "data" / ".ended").unlink(missing_ok=True)
    migrate(old.run)
    assert_consistent(old.run)
    assert_same_counts(report(old.run, "counts"), old.facts)


@pytest.mark.thorough
def test_after_an_upgrade_events_are_counted_tables_rebuilt_and_users_forgotten(old: Old, tmp_path: Path) -> None:
    run, facts = old.run, old.facts
    receipt = write(tmp_path / "receipt.json", facts["receipt"])
    interrupted = tmp_path / "interrupted.ndjson"
    migrate(run)
    assert run("forget", "--verify", receipt).status == 0, "forgotten by 0.1"
    stored = facts["rows"]["events"]
    resumed = run("load", "events", interrupted)
    assert resumed.status == 0, resumed.err
    of_others = [event for event in events_of(interrupted) if event.get("user_id") != FORGOTTEN]
    total = stored + len(of_others) - facts["interrupted_stored"]
    assert count(run, "select count() from alsobought.events") == total
    assert run("load", "events", interrupted).status == 0
    assert count(run, "select count() from alsobought.events") == total, "a file counts once"
    assert run("load", "events", write(tmp_path / "new.ndjson", *NEW)).status == 0
    assert count(run, "select count() from alsobought.events") == total + len(NEW)
    assert_consistent(run)

    before = report(run, "counts")["count_tables"]
    started_over = run("rebuild", "item_totals")
    assert "before it was interrupted" not in started_over.out, "0.1 was killed in this rebuild, of another view"
    assert run("rebuild", "co_baskets", "user_items").status == 0
    assert report(run, "counts")["count_tables"] == before
    forgotten = run("forget", "ada")
    assert json.loads(forgotten.out)["tables"][0]["rows_before"] > 0
    assert run("forget", "--verify", write(tmp_path / "ada.json", forgotten.out)).status == 0
    assert_consistent(run)
    assert "no JSON" in run("dead-letters", "ls", "--json").out


@pytest.mark.thorough
def test_a_new_count_table_counts_from_the_upgrade_on_and_a_rebuild_backfills_it(
    old_with_new_table: Old, tmp_path: Path
) -> None:
    run = old_with_new_table.run
    migrated = run("migrate", "up")
    assert "`alsobought rebuild item_days` counts them" in migrated.out
    assert run("load", "events", write(tmp_path / "new.ndjson", *NEW)).status == 0
    events = count(run, "select count() from alsobought.events")
    counted = count(run, "select sum(events) from alsobought.item_days")
    assert len(NEW) <= counted < events, "also the batch that the recovery inserted again"
    assert run("rebuild", "item_days", *YOUNGER).status == 0
    assert count(run, "select sum(events) from alsobought.item_days") == events
    assert_consistent(run)


@pytest.mark.thorough
@pytest.mark.parametrize("stride", [6, 1])
def test_killed_at_any_step_of_any_new_migration_an_upgrade_ends_the_same(
    old_with_new_table: Old, tmp_path: Path, stride: int
) -> None:
    """Of three runs two get on by `stride - 1` migrations, and one by `stride`."""
    old = old_with_new_table
    undisturbed = running_copy(old, tmp_path / "undisturbed")
    assert undisturbed("migrate", "up").status == 0
    assert old.run("migrate", "up", ALSOBOUGHT_FAILPOINT="migrate.journal").status == -signal.SIGKILL
    assert len(old.pending) >= 2
    for _ in range(len(old.pending) // (3 * stride - 2)):
        for point in STEPS:
            failpoint = f"{point}:{stride}"
            assert old.run("migrate", "up", ALSOBOUGHT_FAILPOINT=failpoint).status == -signal.SIGKILL, failpoint
    assert old.run("migrate", "up").status == 0
    assert old.run("migrate", "up").out == "Nothing to do: every migration is applied.\n"
    assert old.run.python(SCHEMA) == undisturbed.python(SCHEMA)
    assert old.run("rebuild", "item_days", *YOUNGER).status == 0
    assert_consistent(old.run)
    assert_same_counts(report(old.run, "counts"), old.facts)


def running_copy(old: Old, to: Path) -> Run:
    shutil.copytree(old.folder / "data", to, symlinks=True)
    return replace(old.run, settings={**old.run.settings, "ALSOBOUGHT_DATA": str(to)})


@pytest.mark.thorough
def test_a_service_that_starts_on_an_old_folder_counts_what_callers_post_meanwhile(old_with_new_table: Old) -> None:
    run, facts = old_with_new_table.run, old_with_new_table.facts
    url = f"http://127.0.0.1:{run.settings['ALSOBOUGHT_PORT']}/events?wait=true"
    stop = threading.Event()

    def post(caller: int) -> int:
        """Until told to stop, one event after another, each again until it is stored.

        Returns how many.
        """
        sent = 0
        while not stop.is_set():
            event = {
                "event_type": "view",
                "user_id": f"caller-{caller}",
                "item_id": "teapot",
                "event_id": f"{caller}-{sent}",
            }
            try:
                with urllib.request.urlopen(urllib.request.Request(url, json.dumps(event).encode()), timeout=30):
                    sent += 1
            except OSError:
                time.sleep(0.05)
        return sent

    with ThreadPoolExecutor() as pool:
        callers = [pool.submit(post, number) for number in range(3)]
        try:
            with serving(run) as service:
                deadline = time.monotonic() + 30
                while service.ask("/pipes/recently_viewed?user_id=caller-0")[1]["rows"] == 0:
                    assert time.monotonic() < deadline
                time.sleep(1)
                stop.set()
                sent = sum(caller.result() for caller in callers)
                assert run("rebuild", "item_days", *YOUNGER).status == 0
                assert_consistent(run)
        finally:
            stop.set()
    assert sent > 3
    assert count(run, "select count() from alsobought.events") == facts["rows"]["events"] + sent
    assert count(run, "select sum(events) from alsobought.item_days") == facts["rows"]["events"] + sent
