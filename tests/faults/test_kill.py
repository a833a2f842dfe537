"""kill -9 of the process that holds the warehouse, at random moments under load: nothing lost, nothing counted twice."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

from app.settings import HOME

KILLS = int(os.environ.get("KILLS", "8"))


def _child(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults.child", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HOME)


def _killed_while_writing(folder: Path, seed: int, seconds: float) -> list[str]:
    """The event_ids that were acknowledged before the kill."""
    child = _child("write", str(folder), str(seed))
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    time.sleep(seconds)
    child.kill()
    whole_lines = child.stdout.read().split("\n")[:-1]
    child.wait()
    child.stdout.close()
    return " ".join(whole_lines).split()


def test_what_was_acknowledged_is_there_once_and_every_table_is_right_after_kills(tmp_path: Path) -> None:
    rng = random.Random(5)
    acknowledged: list[str] = []
    for seed in range(KILLS):
        acknowledged += _killed_while_writing(tmp_path / "shop", seed, rng.uniform(0.1, 1.2))
    assert len(acknowledged) > KILLS
    verify = _child("verify", str(tmp_path / "shop"))
    found = json.loads(verify.communicate()[0])
    assert verify.returncode == 0
    assert set(acknowledged) <= found["stored"].keys()
    assert set(found["stored"].values()) == {1}
    assert found["wrong"] == dict.fromkeys(found["wrong"], 0)
