"""kill -9 of the writer at random moments under load: nothing lost, nothing counted twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alsobought.failpoints import VARIABLE as FAILPOINT
from alsobought.settings import Settings
from alsobought.writer.recovery import CLEAN_SHUTDOWN
from tests.support.clickhouse_server import clickhouse_server
from tests.support.engines import migrate
from tests.support.project import ROOT

KILLS = int(os.environ.get("KILLS", "3"))


def _child(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.child", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ, **environment})


def _kill_while_writing(dsn: str, seed: int, seconds: float) -> list[str]:
    """The event_ids that were acknowledged before the kill."""
    child = _child("write", dsn, str(seed))
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    acknowledged = "" if seed else child.stdout.readline()  # so that there is something to lose on a slow machine
    time.sleep(seconds)
    child.kill()
    complete_lines = (acknowledged + child.stdout.read()).split("\n")[:-1]
    child.wait()
    child.stdout.close()
    return " ".join(complete_lines).split()


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("append.before_write:7", marks=pytest.mark.thorough),
        pytest.param("append.after_write:7", marks=pytest.mark.thorough),
        pytest.param("ingest.before_insert:3", marks=pytest.mark.thorough),
        "ingest.after_insert:3",
        pytest.param("serving.refresh:4", marks=pytest.mark.thorough),
        pytest.param("append.before_delete:3", marks=pytest.mark.thorough),
    ],
)
def test_after_a_kill_between_the_append_log_and_the_views_each_event_is_stored_once(
    tmp_path: Path, point: str
) -> None:
    dsn = f"chdb://{tmp_path}/shop"
    acknowledged = []
    for seed in range(2):  # the second process begins with what the first left in the log
        child = _child("write", dsn, str(seed), **{FAILPOINT: point})
        assert child.stdout
        acknowledged += child.stdout.read().split("\n")[1:-1]
        child.stdout.close()
        assert child.wait() == -signal.SIGKILL
    _verify(dsn, " ".join(acknowledged).split())


def test_after_kills_acknowledged_events_are_stored_once_and_every_table_is_right(tmp_path: Path) -> None:
    _kill_and_verify(f"chdb://{tmp_path}/shop", KILLS)


@pytest.mark.thorough
def test_the_same_holds_for_a_writer_whose_server_is_not_killed() -> None:
    with clickhouse_server() as started:
        migrate(Settings(dsn=started.dsn))
        _kill_and_verify(started.dsn, max(2, KILLS // 2))


def test_a_clean_shutdown_is_recorded_so_that_the_next_start_need_not_recover_and_a_kill_is_not(tmp_path: Path) -> None:
    folder, dsn = tmp_path / "shop", f"chdb://{tmp_path}/shop"
    _kill_while_writing(dsn, 1, 0.3)
    assert not (folder / CLEAN_SHUTDOWN).exists()
    assert _child("verify", dsn).communicate()[0]
    assert int((folder / CLEAN_SHUTDOWN).read_text()) > 0
    _kill_while_writing(dsn, 2, 0.3)
    assert not (folder / CLEAN_SHUTDOWN).exists()


def _kill_and_verify(dsn: str, kills: int) -> None:
    rng = random.Random(5)
    acknowledged: list[str] = []
    for seed in range(kills):
        acknowledged += _kill_while_writing(dsn, seed, rng.uniform(0.1, 1.2))
    _verify(dsn, acknowledged)


def _verify(dsn: str, acknowledged: list[str]) -> None:
    assert acknowledged
    verify = _child("verify", dsn)
    verified = json.loads(verify.communicate()[0])
    assert verify.returncode == 0
    assert set(acknowledged) <= verified["stored"].keys()
    assert set(verified["stored"].values()) == {1}
    assert verified["wrong"] == dict.fromkeys(verified["wrong"], 0)
