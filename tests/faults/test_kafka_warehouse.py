"""Faults of the warehouse: unavailable, slow, a connection cut during an insert, a table missing, a full disk.

The server is suspended or cut off here; tests/faults/test_server_kills.py kills it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.mixed import mixed
from tests.faults.proxy import proxy
from tests.faults.rig import THOROUGH, Rig
from tests.support.clickhouse_server import clickhouse_server

MakeRig = Callable[..., Rig]
OUTAGE_SECONDS = 60.0 if THOROUGH else 3.0
VIEWS = (
    ("item_hours", "co_baskets", "ingest_batches", "user_items", "buyer_items", "co_views")
    if THOROUGH
    else ("co_baskets",)
)


@pytest.mark.parametrize("cuts", [1, 2, 7])
@pytest.mark.thorough
def test_an_insert_whose_reply_is_cut_off_counts_once(make_rig: MakeRig, server: str, cuts: int) -> None:
    """The writer retries after one cut or two; seven are more than its retries, so consumption restarts."""
    rig = make_rig(server)
    rig.stream = mixed(31, ids=False, invalid=0.01)
    with proxy(server) as between:
        between.marks, between.cuts = (f"insert into {rig.database}.events ".encode(),), cuts
        rig.send(2500)
        rig.ingester(ALSOBOUGHT_DSN=between.dsn)
        rig.finish("the reply of an insert is cut off", cuts)
        assert between.cut == cuts


@pytest.mark.parametrize(
    "table",
    [
        "ingest_ranges",
        "dead_letters",
        "writers",
    ],
)
@pytest.mark.thorough
def test_other_inserts_whose_reply_is_cut_off_count_once(make_rig: MakeRig, server: str, table: str) -> None:
    rig = make_rig(server)
    rig.stream = mixed(32, ids=False, invalid=0.02)
    with proxy(server) as between:
        between.marks, between.cuts = (f"{rig.database}.{table}".encode(), b"JSONEachRow"), 2
        rig.send(1500)
        rig.ingester(ALSOBOUGHT_DSN=between.dsn)
        rig.finish(f"the reply of an insert into {table} is cut off", 2)
        assert between.cut == 2


@pytest.mark.thorough
def test_a_server_that_refuses_connections_for_a_while_loses_nothing(make_rig: MakeRig, server: str) -> None:
    rig = make_rig(server)
    rig.stream = mixed(33, invalid=0.01)
    with proxy(server) as between:
        ingester = rig.ingester(ALSOBOUGHT_DSN=between.dsn)
        with rig.sending():
            rig.wait(lambda: rig.consumed() > 500)
            between.refuse()
            rig.wait(lambda: "paused" in ingester.output)
            time.sleep(OUTAGE_SECONDS)
            between.refuses = False
        rig.finish("ClickHouse refuses connections")


def test_a_server_that_does_not_answer_for_a_while_loses_nothing(make_rig: MakeRig) -> None:
    with clickhouse_server() as started:
        rig = make_rig(started.dsn)
        rig.stream = mixed(34, invalid=0.01)
        rig.ingester()
        with rig.sending():
            rig.wait(lambda: rig.consumed() > 500)
            os.kill(started.pid, signal.SIGSTOP)
            time.sleep(OUTAGE_SECONDS)
            os.kill(started.pid, signal.SIGCONT)
        rig.finish(f"ClickHouse does not answer for {OUTAGE_SECONDS:.0f} s")


@pytest.mark.thorough
def test_a_slow_server_loses_nothing(make_rig: MakeRig, server: str) -> None:
    rig = make_rig(server)
    with proxy(server) as between:
        between.delay = 0.3
        rig.send(1000)
        rig.ingester(ALSOBOUGHT_DSN=between.dsn)
        rig.finish("a slow network to ClickHouse")


@pytest.mark.parametrize("table", VIEWS)
def test_a_view_that_failed_gets_the_rows_it_missed_once_it_is_repaired(
    make_rig: MakeRig, server: str, table: str
) -> None:
    rig = make_rig(server)
    rig.stream = mixed(35, ids=False, invalid=0.01)
    ingester = rig.ingester()
    with rig.sending():
        rig.wait(lambda: rig.consumed() > 500)
        rig.query(f"rename table {{db}}.{table} to {{db}}.gone")
        rig.wait(lambda: "paused" in ingester.output)
        rig.query(f"rename table {{db}}.gone to {{db}}.{table}")
    rig.finish("a view fails and is repaired")


@pytest.mark.thorough
def test_a_view_that_failed_when_the_ingester_was_killed_gets_the_rows_it_missed(
    make_rig: MakeRig, server: str
) -> None:
    rig = make_rig(server)
    rig.stream = mixed(36, ids=False)
    first = rig.ingester()
    with rig.sending():
        rig.wait(lambda: rig.consumed() > 500)
        rig.query("rename table {db}.co_views to {db}.gone")
        rig.wait(lambda: "paused" in first.output)
        first.kill()
    second = rig.ingester()
    rig.wait(lambda: "paused" in second.output)
    rig.query("rename table {db}.gone to {db}.co_views")
    rig.finish("a view fails, the ingester is killed, another takes over")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=150m", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a disk is not permitted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.thorough
def test_a_disk_that_is_full_for_a_while_loses_nothing(make_rig: MakeRig, small_disk: Path) -> None:
    rig = make_rig(f"chdb://{small_disk}/shop", min_free_bytes="30000000")
    rig.stream = mixed(37, invalid=0.01)
    ingester = rig.ingester()
    with rig.sending():
        rig.wait(lambda: rig.consumed() > 500)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(100_000_000))
        rig.wait(lambda: "not enough space" in ingester.output)
        filler.unlink()
    rig.finish("the disk is full")
