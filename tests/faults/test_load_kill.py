"""kill -9 of a load at every step: run again it resumes, and each row of the file is stored or rejected once."""

from __future__ import annotations

import csv
import gzip
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alsobought.loading.files import digest
from tests.support.process import Run, running
from tests.support.project import ROOT

ROWS = 1_000
NOTHING_STORED = ("load.begun", "load.rejected", "ingest.before_insert")
REJECTED = {1, 50, *range(301, 401), 777, 998, 999, 1000}  # also a complete batch, and the end


def rows() -> list[dict[str, Any]]:
    return [
        {
            "event_type": "purchase" if number % 3 else "view",
            "user_id": "" if number in REJECTED else f"u{number % 20}",
            "item_id": f"i{number % 60}",
            "order_id": f"o{number % 30}",
            "timestamp": f"1999-01-{1 + number % 28:02}T12:00:00Z",
        }
        for number in range(1, ROWS + 1)
    ]


def _write(path: Path) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows())
    if path.suffix == ".ndjson":
        path.write_text(text)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows()))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows()), path, row_group_size=150)
    else:
        with gzip.open(path, "wt", newline="") as file:
            lines = csv.DictWriter(file, list(rows()[0]))
            lines.writeheader()
            lines.writerows(rows())
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return running(tmp_path / "shop", ALSOBOUGHT_BATCH_ROWS="100")


def _assert_exact(run: Run, source: str, rejected: Path) -> None:
    assert run.folder
    verify = subprocess.run(
        [sys.executable, "-m", "tests.faults.child", "verify", f"chdb://{run.folder / 'shop'}"],
        check=True,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    verified = json.loads(verify.stdout)
    accepted = set(range(1, ROWS + 1)) - REJECTED
    assert verified["stored"] == {f"{source}:{number}": 1 for number in accepted}
    assert verified["wrong"] == dict.fromkeys(verified["wrong"], 0)
    lines = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert [line["row"] for line in lines] == sorted(REJECTED)
    assert {line["problem"] for line in lines} == {"user_id: missing; a guest needs a session_id instead"}
    assert [line["given"]["item_id"] for line in lines] == [f"i{number % 60}" for number in sorted(REJECTED)]


FAST_POINTS = [
    ("e.ndjson", "load.rejected:6"),
]
THOROUGH_POINTS = [
    ("e.csv.gz", "ingest.after_insert:5"),
    ("e.ndjson", "load.recorded"),
    ("e.ndjson", "load.begun"),
    ("e.ndjson", "load.rejected"),
    ("e.ndjson", "load.submitted:4"),
    ("e.ndjson", "load.stored"),
    ("e.ndjson", "load.stored:4"),
    ("e.ndjson", "load.finished"),
    ("e.ndjson", "ingest.before_insert"),
    ("e.ndjson", "ingest.before_insert:4"),
    ("e.ndjson", "ingest.after_insert"),
    ("e.ndjson", "ingest.after_insert:4"),
    ("e.json", "ingest.after_insert:5"),
    ("e.parquet", "ingest.after_insert:5"),
]


@pytest.mark.parametrize(
    ("name", "point"), [*FAST_POINTS, *(pytest.param(*point, marks=pytest.mark.thorough) for point in THOROUGH_POINTS)]
)
def test_a_load_killed_at_any_step_resumes(run: Run, tmp_path: Path, name: str, point: str) -> None:
    file, rejected = _write(tmp_path / name), tmp_path / f"{name}.rejected.ndjson"
    assert run("load", "events", file, ALSOBOUGHT_FAILPOINT=point).status == -signal.SIGKILL
    ran = run("load", "events", file)
    assert ran.status == 1
    stored, duplicates = map(int, re.findall(r"(\d+) (?:events stored|duplicates)", ran.out))
    assert stored + duplicates == ROWS - len(REJECTED)
    assert (duplicates == 0) == (point in NOTHING_STORED)
    _assert_exact(run, f"load:{digest(file)}", rejected)


@pytest.mark.thorough
def test_a_load_killed_again_and_again_completes(run: Run, tmp_path: Path) -> None:
    file = _write(tmp_path / "e.ndjson")
    statuses = [run("load", "events", file, ALSOBOUGHT_FAILPOINT="ingest.after_insert:3").status for _ in range(6)]
    assert statuses == [-signal.SIGKILL] * 3 + [1] * 3
    _assert_exact(run, f"load:{digest(file)}", tmp_path / "e.ndjson.rejected.ndjson")


@pytest.mark.thorough
def test_standard_input_with_a_source_resumes_too(run: Run, tmp_path: Path) -> None:
    text = _write(tmp_path / "e.ndjson").read_text()
    words = ("load", "events", "-", "--source", "log")
    assert run.with_input(text, *words, ALSOBOUGHT_FAILPOINT="load.stored:3").status == -signal.SIGKILL
    assert run.with_input(text, *words).status == 1
    _assert_exact(run, "load:log", tmp_path / "stdin.rejected.ndjson")
