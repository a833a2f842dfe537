"""kill -9 of the consumer at every step and at random moments: nothing lost, nothing counted twice."""

from __future__ import annotations

import os
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.mixed import mixed
from tests.faults.rig import THOROUGH, Rig
from tests.support.process import Run
from tests.support.project import ROOT

KILLS = int(os.environ.get("KILLS", "4"))
FAST_POINTS = ["ingest.after_insert:3", "consumer.dead_letters", "consumer.stored:3"]
THOROUGH_POINTS = [
    *("ingest.before_insert", "ingest.before_insert:3", "ingest.after_insert"),
    *("consumer.stored", "consumer.checkpointed", "consumer.checkpointed:2", "consumer.committed:2"),
]


def _with_mixed_stream(rig: Rig) -> Rig:
    rig.stream = mixed(3, repeated=0.01, reordered=0.01, invalid=0.01)
    return rig


def _kill_at_each(rig: Rig, points: list[str]) -> None:
    for point in points:
        rig.send(2500 if THOROUGH else 1500)
        rig.ingester(point).wait_for_kill()
    rig.ingester()
    where = "server" if rig.dsn.startswith("http") else "embedded"
    rig.finish(f"kill -9 of the ingester at a step, {where}", len(points))


def test_an_ingester_killed_at_a_step_loses_nothing_and_stores_nothing_twice_embedded(
    make_rig: Callable[..., Rig],
) -> None:
    _kill_at_each(_with_mixed_stream(make_rig()), FAST_POINTS)


@pytest.mark.thorough
def test_an_ingester_killed_at_a_step_loses_nothing_and_stores_nothing_twice_on_a_server(
    make_rig: Callable[..., Rig], server: str
) -> None:
    _kill_at_each(_with_mixed_stream(make_rig(server)), ["ingest.after_insert:3", "consumer.stored:2"])


@pytest.mark.thorough
@pytest.mark.parametrize("mode", ["embedded", "server"])
def test_an_ingester_killed_at_every_step_loses_nothing_and_stores_nothing_twice(
    make_rig: Callable[..., Rig], server: str, mode: str
) -> None:
    _kill_at_each(_with_mixed_stream(make_rig(server if mode == "server" else "")), [*FAST_POINTS, *THOROUGH_POINTS])


def test_an_offset_that_a_killed_ingester_did_not_commit_is_committed_by_the_next(make_rig: Callable[..., Rig]) -> None:
    """Without further messages, displays of lag by Kafka would show one for ever."""
    rig = make_rig()
    rig.send(500)
    rig.ingester("consumer.checkpointed").wait_for_kill()
    rig.ingester()
    rig.wait(lambda: rig.committed() == 500, 20)


@pytest.mark.parametrize("command", ["ingest", "serve"])
@pytest.mark.thorough
def test_an_embedded_process_killed_at_random_moments_under_load_loses_nothing(
    make_rig: Callable[..., Rig], command: str
) -> None:
    rig = _with_mixed_stream(make_rig())
    kills = KILLS if command == "ingest" else max(2, KILLS // 3)
    rng = random.Random(5)
    with rig.sending():
        for _ in range(kills):
            ingester = rig.ingester(command=(command,))
            rig.wait_for_more(1)
            time.sleep(rng.uniform(0, 1.5))
            ingester.kill()
    rig.ingester(command=(command,))
    rig.finish(f"kill -9 of `{command}` at random moments, embedded", kills)


@pytest.mark.thorough
def test_an_ingester_of_a_server_killed_at_random_moments_under_load_loses_nothing(
    make_rig: Callable[..., Rig], server: str
) -> None:
    """Another stands by, so that the handover is tested too."""
    rig = _with_mixed_stream(make_rig(server))
    kills = max(2, KILLS // 2)
    rng = random.Random(6)
    ingester = rig.ingester()
    with rig.sending():
        for _ in range(kills):
            standby = rig.ingester()
            rig.wait_for_more(200)
            time.sleep(rng.uniform(0, 0.7))
            ingester.kill()
            ingester = standby
    rig.finish("kill -9 of the ingester at random moments, server", kills)


def _deduplication_logs(rig: Rig, table: str) -> Path:
    """The folder in which a table records its inserts."""
    return Path(rig.dsn.removeprefix("chdb://"), "data", rig.database, table, "deduplication_logs")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.txt"))


def _kill_on_growth(rig: Rig, folder: Path) -> None:
    """Kill between the record of an insert and its part, or right after the part."""
    size = _size(folder)
    ingester = rig.ingester()
    deadline = time.monotonic() + 30
    while _size(folder) == size:
        assert ingester.running, ingester.output
        assert time.monotonic() < deadline, ingester.output
    ingester.kill()


SCHEMA = {path.stem: path.read_text() for path in (ROOT / "sql" / "schema").glob("*.sql")}
VIEWED = {
    view[1] for text in SCHEMA.values() if (view := re.search(r"^CREATE MATERIALIZED VIEW \w+ TO (\w+)", text, re.M))
}
TABLES = sorted(table for table in VIEWED if "ENGINE = Null" not in SCHEMA[table])


@pytest.mark.parametrize(
    "tables", [["co_baskets", "item_hours", "events"], pytest.param([*TABLES, "events"], marks=pytest.mark.thorough)]
)
@pytest.mark.thorough
def test_a_table_gets_an_insert_that_it_recorded_before_a_kill(make_rig: Callable[..., Rig], tables: list[str]) -> None:
    rig = _with_mixed_stream(make_rig())
    rig.send(300)
    rig.ingester()
    rig.drain()
    assert rig.ingesters[-1].stop() == 0
    for table in tables:
        rig.send(1500)
        _kill_on_growth(rig, _deduplication_logs(rig, table))
    rig.ingester()
    rig.finish("kill -9 when a table records an insert", len(tables))


WINDOWS = """
from alsobought.settings import from_environment
from alsobought.storage.warehouse import open_warehouse
warehouse = open_warehouse(from_environment())
sql = "select name from system.tables where create_table_query like '%deduplication_window = 0%'"
print(warehouse.trusted_rows(sql).data)
warehouse.close()
"""


def delete_newest_part(table: Path) -> None:
    """Leave the table in this folder as kill -9 does between the record of an insert and its part."""
    logs = (table / "deduplication_logs").glob("*.txt")
    newest = max(logs, key=lambda path: int(path.stem.rpartition("_")[2]))
    part = newest.read_text().splitlines()[-1].split("\t")[1]
    shutil.rmtree(table / part)


@pytest.mark.thorough
def test_a_recovery_that_is_killed_is_completed_by_the_next(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    rig = _with_mixed_stream(make_rig())
    rig.send(500)
    rig.ingester("consumer.stored").wait_for_kill()
    for table in ("item_hours", "user_items"):
        delete_newest_part(_deduplication_logs(rig, table).parent)
    points = ["recovery.cleared", "recovery.cleared", "recovery.before_insert"][not THOROUGH :]
    for point in points:
        rig.ingester(point).wait_for_kill()
    rig.ingester()
    rig.send(500)
    rig.finish("kill -9 while it recovers", len(points))
    run = Run(rig.environment(), folder=tmp_path)
    assert run.python(WINDOWS) == "[]\n"
