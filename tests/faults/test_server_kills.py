"""kill -9 of the ClickHouse server, which is started again: nothing lost, nothing counted twice, and no process needs a restart."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.faults.mixed import mixed
from tests.faults.proof import Findings
from tests.faults.proxy import proxy
from tests.faults.rig import THOROUGH, Rig, record
from tests.faults.test_kafka_kills import TABLES, delete_newest_part
from tests.faults.test_rewrite_kill import child
from tests.support.clickhouse_server import ClickHouseServer, clickhouse_server
from tests.support.process import running

MakeRig = Callable[..., Rig]
KILLS = int(os.environ.get("KILLS", "4"))
DONE = {"forget": "erased", "merge": "merged"}
POINTS = [
    *(
        "ingest.before_insert:2",
        "ingest.after_insert:2",
        "serving.refresh",
        "consumer.dead_letters",
        "consumer.stored:2",
    ),
    *("consumer.checkpointed", "consumer.committed"),
]


@pytest.fixture
def server() -> Iterator[ClickHouseServer]:
    """A server of the test's own, to be killed."""
    with clickhouse_server() as started:
        yield started


def restart(server: ClickHouseServer) -> None:
    """Start it again once it was killed."""
    assert server.process
    server.process.wait(60)
    server.start()


def test_a_server_killed_at_a_step_of_storing_loses_nothing(make_rig: MakeRig, server: ClickHouseServer) -> None:
    rig = make_rig(server.dsn)
    rig.stream = mixed(41, repeated=0.01, invalid=0.02)
    points = POINTS if THOROUGH else ["consumer.stored:2"]
    for point in points:
        rig.send(1500)
        ingester = rig.ingester(f"{point}@{server.pid}")
        restart(server)
        rig.drain()
        assert ingester.running, ingester.output
        assert ingester.stop() == 0, ingester.output
    rig.ingester()
    rig.finish("kill -9 of the ClickHouse server at a step of storing", len(points))


@pytest.mark.thorough
def test_a_server_killed_while_it_recovers_loses_nothing(make_rig: MakeRig, server: ClickHouseServer) -> None:
    rig = make_rig(server.dsn)
    rig.stream = mixed(42, ids=False)
    points = ["recovery.before_insert", "ingest.before_insert"] * (3 if THOROUGH else 1)
    for point in points:
        rig.send(1000)
        first = rig.ingester(f"ingest.after_insert@{server.pid}")
        restart(server)
        first.kill()
        second = rig.ingester(f"{point}@{server.pid}")
        restart(server)
        rig.drain()
        assert second.stop() == 0
    rig.ingester()
    rig.finish("kill -9 of the ClickHouse server while it recovers", len(points))


@pytest.mark.thorough
def test_a_server_killed_at_random_moments_under_load_loses_nothing(
    make_rig: MakeRig, server: ClickHouseServer
) -> None:
    rig = make_rig(server.dsn)
    rig.stream = mixed(43, repeated=0.01, reordered=0.01, invalid=0.01)
    kills = KILLS if THOROUGH else 2
    rng = random.Random(8)
    ingester = rig.ingester()
    with rig.sending():
        for _ in range(kills):
            rig.wait_for_more(200)
            time.sleep(rng.uniform(0, 1.5))
            server.kill()
            server.start()
    rig.finish("kill -9 of the ClickHouse server at random moments under load", kills)
    assert rig.ingesters == [ingester]


def _records(rig: Rig, server: ClickHouseServer, table: str) -> int:
    """The size of the file in which a table records its inserts."""
    folder = server.folder / "data" / "data" / rig.database / table / "deduplication_logs"
    return sum(path.stat().st_size for path in folder.glob("*.txt"))


@pytest.mark.parametrize(
    "tables",
    [["co_baskets"], pytest.param(["events", *TABLES], marks=pytest.mark.thorough, id="all")],
)
def test_a_server_killed_inside_an_insert_loses_nothing(
    make_rig: MakeRig, server: ClickHouseServer, tables: list[str]
) -> None:
    """Between the table `events` and its views, as soon as one of these records the insert."""
    rig = make_rig(server.dsn)
    rig.stream = mixed(44, ids=False)
    rig.ingester()
    rig.send(600)
    rig.drain()
    tables = [table for table in tables if _records(rig, server, table)]
    for table in tables:
        size = _records(rig, server, table)
        with rig.sending(500):
            until = time.monotonic() + 60
            while _records(rig, server, table) == size:
                assert time.monotonic() < until, rig.output
            server.kill()
        server.start()
        rig.drain()
    rig.finish("kill -9 of the ClickHouse server inside an insert, between `events` and its views", len(tables))


ONE_BLOCK = [table for table in TABLES if table != "daily_popularity"]  # two views write to it: it stays behind


@pytest.mark.parametrize("tables", [["co_baskets"], pytest.param(ONE_BLOCK, marks=pytest.mark.thorough, id="all")])
def test_a_table_that_recorded_an_insert_without_storing_it_gets_the_batch(
    make_rig: MakeRig, server: ClickHouseServer, tables: list[str]
) -> None:
    """As kill -9 leaves it between the record of an insert and its part, which is a moment too short to be hit."""
    rig = make_rig(server.dsn)
    rig.stream = mixed(45, ids=False)
    ingester = rig.ingester()
    rig.send(600)
    rig.drain()
    assert ingester.stop() == 0, ingester.output
    tables = [table for table in tables if _records(rig, server, table)]
    for table in tables:
        _insert_and_lose_part(rig, server, table)
    rig.ingester()
    rig.finish("kill -9 of the ClickHouse server when a table records an insert", len(tables))


def _insert_and_lose_part(rig: Rig, server: ClickHouseServer, table: str) -> None:
    with proxy(server.dsn) as between:
        between.marks = (f"insert into {rig.database}.events ".encode(), b"JSONEachRow")  # a batch, no recovery
        between.cuts = 1
        between.refuses_then = True
        rig.send(600)
        ingester = rig.ingester(ALSOBOUGHT_DSN=between.dsn)
        rig.wait(lambda: between.refuses)
        server.kill()
        delete_newest_part(server.folder / "data" / "data" / rig.database / table)
        server.start()
        between.refuses = False
        rig.wait(lambda: rig.consumed() == sum(rig.ends().values()))
        assert ingester.stop() == 0, ingester.output


@pytest.mark.parametrize(
    ("kind", "points"),
    [
        ("forget", ["deleted"]),
        pytest.param(
            "forget", ["begun", "users", "co_baskets", "serving", "ended"], marks=pytest.mark.thorough, id="f"
        ),
        pytest.param("merge", ["begun", "order_items", "moved", "deleted"], marks=pytest.mark.thorough, id="m"),
    ],
)
def test_a_rewrite_whose_server_is_killed_is_completed(
    server: ClickHouseServer, tmp_path: Path, kind: str, points: list[str]
) -> None:
    """By the same process if the server is back in time, else by the next start."""
    assert running(tmp_path, ALSOBOUGHT_DSN=server.dsn)("migrate", "up").status == 0
    seconds = []
    with ThreadPoolExecutor(1) as threads:
        for seed, point in enumerate(points, 1):
            change = [kind, f"guest{seed}", *(["bruno"] if kind == "merge" else [])]
            killed = threads.submit(child, server.dsn, seed, change, f"rewrite.{point}@{server.pid}", fails=True)
            restart(server)
            killed.result()
            began = time.monotonic()
            _let_the_heartbeat_expire(server)
            report = child(server.dsn, 0, [], user=f"guest{seed}")
            seconds.append(time.monotonic() - began)
            assert (report["wrong"], report["unfinished"], report["left"]) == ({}, 0, 0), point
            assert sorted(report["users"]) == ["bruno", "cleo"], point
    record(f"kill -9 of the ClickHouse server while a user is {DONE[kind]}", len(points), Findings(), max(seconds))


def _let_the_heartbeat_expire(server: ClickHouseServer) -> None:
    """The next writer waits a minute for one that could not record that it gave up."""
    sql = b"alter table alsobought.rewrites update noted_at = 0 where not done settings mutations_sync = 2"
    urlopen(server.dsn, sql).close()


def test_a_migration_whose_server_is_killed_is_completed_by_the_next_run(
    server: ClickHouseServer, tmp_path: Path
) -> None:
    run = running(tmp_path, ALSOBOUGHT_DSN=server.dsn)
    steps = [f"{point}:{number}" for point in ("started", "ran", "applied") for number in (3, 20)]
    steps = steps if THOROUGH else ["ran:3"]
    for step in steps:
        ran = run("migrate", "up", ALSOBOUGHT_FAILPOINT=f"migrate.{step}@{server.pid}")
        assert ran.status == 1, (step, ran.out, ran.err)
        assert "Traceback" not in ran.err
        server.kill()
        server.start()
    began = time.monotonic()
    assert run("migrate", "up").status == 0
    record("kill -9 of the ClickHouse server during a migration", len(steps), Findings(), time.monotonic() - began)
    assert {step["state"] for step in json.loads(run("migrate", "status", "--json").out)} == {"applied"}
