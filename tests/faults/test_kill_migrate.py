"""kill -9 of a migration at every step: the next run completes, and the schema is that of an
undisturbed run.

One folder is killed again and again; each run gets one step further.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.support.process import Run, running
from tests.support.project import ROOT

STEPS = ("migrate.started", "migrate.ran", "migrate.applied")
TEXTS = {
    "0001_one": "create table {{ database }}.one (x UInt64, y UInt8, w String) engine = MergeTree order by x",
    "0002_two": "create dictionary {{ database }}.two (x UInt64, y UInt8) primary key x\n"
    "source(clickhouse(table 'one')) layout(flat()) lifetime(0)",
    "0003_three": "create materialized view {{ database }}.three to {{ database }}.one as\n"
    "select x, y from {{ database }}.one where 0",
    "0004_four": "alter table {{ database }}.one add column z String, drop column w, add index i z type minmax",
    "0005_five": "drop view {{ database }}.three",
    "0006_six": "alter table {{ database }}.one modify comment 'done'",
}
SCHEMA = """
from alsobought.settings import from_environment
from alsobought.storage.clickhouse import open_warehouse
warehouse = open_warehouse(from_environment())
sql = "select create_table_query from system.tables where database = 'alsobought' order by name"
print(warehouse.trusted_rows(sql).data)
warehouse.close()
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project with a migration of every kind."""
    folder = tmp_path / "home" / "migrations"
    folder.mkdir(parents=True)
    for name, text in TEXTS.items():
        (folder / f"{name}.sql").write_text(f"-- A reason.\n{text}\n")
    return folder.parent


def killed(run: Run, point: str) -> None:
    assert run("migrate", "up", ALSOBOUGHT_FAILPOINT=point).status == -signal.SIGKILL, point


def clean(folder: Path, home: Path = ROOT) -> str:
    """The schema after an undisturbed run."""
    run = running(folder).at(home)
    assert run("migrate", "up").status == 0
    return run.python(SCHEMA)


def finished(run: Run, number: int) -> str:
    """The schema after the last run, which applies everything that is pending, nothing twice."""
    ran = run("migrate", "up")
    assert (ran.status, ran.err) == (0, "")
    states = [line.split()[0] for line in run("migrate", "status").out.splitlines()]
    assert states == ["applied"] * number
    assert run("migrate", "up").out == "Nothing to do: every migration is applied.\n"
    return run.python(SCHEMA)


@pytest.mark.thorough
def test_after_a_kill_at_every_step_of_every_kind_the_schema_is_that_of_a_clean_run(home: Path, tmp_path: Path) -> None:
    run = running(tmp_path / "killed").at(home)
    killed(run, "migrate.journal")
    for _ in TEXTS:
        for point in STEPS:
            killed(run, point)
    assert finished(run, len(TEXTS)) == clean(tmp_path / "clean", home)


def test_after_a_few_kills_the_schema_of_the_project_is_that_of_a_clean_run(tmp_path: Path) -> None:
    number = len(list((ROOT / "migrations").glob("*.sql")))
    run = running(tmp_path / "killed")
    for point in ("migrate.ran:3", f"migrate.started:{number - 9}"):
        killed(run, point)
    assert finished(run, number) == clean(tmp_path / "clean")
