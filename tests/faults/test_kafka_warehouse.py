"""The warehouse fails: away, slow, cut off in the middle of an insert, without one of its tables, without room.

ClickHouse's interface over chDB stands for the server. Its memory is its disk, so that kill -9 of it cannot be tried here:
it is stopped, or nobody gets through to it.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.mixed import mixed
from tests.faults.proxy import proxy
from tests.faults.rig import THOROUGH, Rig
from tests.support.engines import http_server_process

MakeRig = Callable[..., Rig]
AWAY_SECONDS = 60.0 if THOROUGH else 3.0
VIEWS = (
    ("item_hours", "co_baskets", "ingest_batches", "user_items", "buyer_items", "co_views")
    if THOROUGH
    else ("co_baskets",)
)


@pytest.mark.parametrize("cuts", [1, 2, 7])
@pytest.mark.thorough
def test_an_insert_whose_reply_is_cut_counts_once(make_rig: MakeRig, server: str, cuts: int) -> None:
    """Once is the writer's own repeat, twice its second, and seven times are more than it repeats: reading begins again."""
    rig = make_rig(server)
    rig.stream = mixed(31, ids=False, poison=0.01)
    with proxy(server) as between:
        between.marks, between.cuts = (f"insert into {rig.database}.events ".encode(),), cuts
        rig.flow(2500)
        rig.ingester(ALSOBOUGHT_DSN=between.dsn)
        rig.settle("the reply of an insert is cut off", cuts)
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
def test_what_else_is_written_counts_once_when_its_reply_is_cut(make_rig: MakeRig, server: str, table: str) -> None:
    rig = make_rig(server)
    rig.stream = mixed(32, ids=False, poison=0.02)
    with proxy(server) as between:
        between.marks, between.cuts = (f"{rig.database}.{table}".encode(), b"JSONEachRow"), 2
        rig.flow(1500)
        rig.ingester(ALSOBOUGHT_DSN=between.dsn)
        rig.settle(f"the reply of an insert into {table} is cut off", 2)
        assert between.cut == 2


@pytest.mark.thorough
def test_a_server_that_refuses_connections_for_a_while_loses_nothing(make_rig: MakeRig, server: str) -> None:
    rig = make_rig(server)
    rig.stream = mixed(33, poison=0.01)
    with proxy(server) as between:
        one = rig.ingester(ALSOBOUGHT_DSN=between.dsn)
        with rig.flowing():
            rig.wait(lambda: rig.read() > 500)
            between.refuse()
            rig.wait(lambda: "waits" in one.said)
            time.sleep(AWAY_SECONDS)
            between.refuses = False
        rig.settle("ClickHouse refuses connections")


def test_a_server_that_does_not_answer_for_a_while_loses_nothing(make_rig: MakeRig) -> None:
    with http_server_process() as (process, dsn):
        rig = make_rig(dsn)
        rig.stream = mixed(34, poison=0.01)
        rig.ingester()
        with rig.flowing():
            rig.wait(lambda: rig.read() > 500)
            process.send_signal(signal.SIGSTOP)
            time.sleep(AWAY_SECONDS)
            process.send_signal(signal.SIGCONT)
        rig.settle(f"ClickHouse does not answer for {AWAY_SECONDS:.0f} s")


@pytest.mark.thorough
def test_a_slow_server_loses_nothing(make_rig: MakeRig, server: str) -> None:
    rig = make_rig(server)
    with proxy(server) as between:
        between.delay = 0.3
        rig.flow(3000)
        rig.ingester(ALSOBOUGHT_DSN=between.dsn)
        rig.settle("a slow network to ClickHouse")


@pytest.mark.parametrize("table", VIEWS)
def test_a_view_that_fails_until_it_is_mended_gets_what_it_missed(make_rig: MakeRig, server: str, table: str) -> None:
    rig = make_rig(server)
    rig.stream = mixed(35, ids=False, poison=0.01)
    one = rig.ingester()
    with rig.flowing():
        rig.wait(lambda: rig.read() > 500)
        rig.ask(f"rename table {{db}}.{table} to {{db}}.gone")
        rig.wait(lambda: "waits" in one.said)
        rig.ask(f"rename table {{db}}.gone to {{db}}.{table}")
    rig.settle("a view fails, and is mended")


@pytest.mark.thorough
def test_a_view_that_fails_while_the_ingester_is_killed_gets_what_it_missed(make_rig: MakeRig, server: str) -> None:
    rig = make_rig(server)
    rig.stream = mixed(36, ids=False)
    first = rig.ingester()
    with rig.flowing():
        rig.wait(lambda: rig.read() > 500)
        rig.ask("rename table {db}.co_views to {db}.gone")
        rig.wait(lambda: "waits" in first.said)
        first.kill()
    second = rig.ingester()
    rig.wait(lambda: "waits" in second.said)
    rig.ask("rename table {db}.gone to {db}.co_views")
    rig.settle("a view fails, the ingester is killed, another comes")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=150m", "none", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nobody may mount a disk here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.thorough
def test_a_disk_that_is_full_for_a_while_loses_nothing(make_rig: MakeRig, small_disk: Path) -> None:
    rig = make_rig(f"chdb://{small_disk}/shop", min_free_bytes="30000000")
    rig.stream = mixed(37, poison=0.01)
    one = rig.ingester()
    with rig.flowing():
        rig.wait(lambda: rig.read() > 500)
        filler = small_disk / "filler"
        filler.write_bytes(bytes(100_000_000))
        rig.wait(lambda: "not enough space" in one.said)
        filler.unlink()
    rig.settle("the disk is full")
