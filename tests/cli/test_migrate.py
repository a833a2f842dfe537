"""`alsobought migrate …`, each command in a process of its own: what it does and what it says."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support.process import Run, assert_error, running, write
from tests.support.project import ROOT, project_folder
from tests.support.web import VIEW

NAMES = sorted(path.stem for path in (ROOT / "migrations").glob("*.sql"))
EXTRA = "-- A reason.\ncreate table {{ database }}.extra (x UInt8) engine = MergeTree order by x\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Commands on a folder of this test's own and a copy of the project's SQL, to be spoilt."""
    return running(tmp_path / "data").at(tmp_path / "home")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    project_folder(home, "sql", "migrations")
    return home


@pytest.fixture
def last(home: Path) -> Path:
    """The newest migration."""
    return home / "migrations" / f"{NAMES[-1]}.sql"


def test_migrations_are_applied_once_and_their_status_is_shown(run: Run, home: Path) -> None:
    ran = run("migrate", "up")
    assert (ran.status, ran.err) == (0, "")
    assert re.findall(r"^applied (\S+)$", ran.out, re.MULTILINE) == NAMES
    ran = run("migrate", "up")
    assert (ran.status, ran.out) == (0, "Nothing to do: every migration is applied.\n")
    ran = run("migrate", "status")
    assert ran.status == 0
    line = r"^applied +(\S+) +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z in \d+\.\d{3} s$"
    assert re.findall(line, ran.out, re.MULTILINE) == NAMES
    facts = json.loads(run("migrate", "status", "--json").out)
    assert [fact["name"] for fact in facts] == NAMES
    assert {fact["state"] for fact in facts} == {"applied"}
    assert facts[0].keys() == {"version", "name", "state", "applied_at", "seconds", "error"}


def test_a_plan_is_sql_with_reasons_and_changes_nothing(run: Run, home: Path, tmp_path: Path) -> None:
    for words in (("migrate", "plan"), ("migrate", "up", "--dry-run")):
        ran = run(*words)
        assert (ran.status, ran.err) == (0, "")
        assert re.findall(r"^-- migrations/(\S+)\.sql$", ran.out, re.MULTILINE) == NAMES
        assert "-- The catalogue: one row per item as last sent" in ran.out
        assert "\ncreate table if not exists alsobought.items (" in ran.out
        assert ran.out.endswith(f"\n-- {len(NAMES)} to apply\n")
        assert not (tmp_path / "data").exists()


@pytest.mark.thorough
def test_the_plan_of_a_new_view_says_what_it_will_not_count(run: Run, home: Path, tmp_path: Path) -> None:
    assert run("load", "events", write(tmp_path / "e.ndjson", VIEW, VIEW | {"event_type": "click"})).status == 0
    ran = run("migrate", "new", "item_days", "--view")
    table, view, check = (Path(line) for line in ran.out.splitlines())
    assert check == home / "sql" / "checks" / "item_days.sql"
    assert_error(run("migrate", "up"), f"{table.stem} has no reason yet", "-- …")
    table.write_text(table.read_text().replace("-- …", "-- Events of items by day."))
    ran = run("migrate", "plan")
    note = "item_days_mv counts from now on only: 2 events are older; `alsobought rebuild item_days` counts them, in about 1 s"
    assert f"-- Note: {note}.\n" in ran.out
    assert ran.out.endswith("\n-- 2 to apply\n")
    assert run("migrate", "up").out == f"applied {table.stem}\napplied {view.stem} ({note})\n2 applied\n"


@pytest.mark.thorough
def test_an_edited_migration_is_an_error_that_says_what_to_do(
    run_migrated: Run, home: Path, last: Path, tmp_path: Path
) -> None:
    run = run_migrated.at(home)
    extra = home / "migrations" / f"{len(NAMES) + 1:04}_extra.sql"
    extra.write_text(EXTRA)
    ran = run("migrate", "status")
    assert (ran.status, ran.out.splitlines()[-1].split()) == (0, ["pending", extra.stem])
    last.write_text(last.read_text() + "-- one more word\n")
    ran = run("migrate", "status")
    assert ran.status == 1
    assert re.search(rf"^edited +{last.stem} ", ran.out, re.MULTILINE)
    todo = (f"git checkout migrations/{last.name}", "write a new migration", f"delete {tmp_path / 'data'}")
    for words in (("migrate", "up"), ("migrate", "plan"), ("load", "events", write(home / "e.ndjson", VIEW))):
        assert_error(run(*words), f"{last.stem} was edited after it was applied", *todo)


def test_a_migration_that_fails_says_which_and_keeps_those_before(run: Run, last: Path) -> None:
    good = last.read_text()
    last.write_text("-- A reason.\ncreate table {{ database }}.broken (x Nonsense) engine = MergeTree order by x\n")
    assert_error(run("migrate", "up"), f"{last.stem} failed", "Nonsense")
    ran = run("migrate", "status")
    assert ran.status == 1
    assert re.findall(r"^failed +(\S+) .*Nonsense", ran.out, re.MULTILINE) == [last.stem]
    last.write_text(good)
    assert run("migrate", "up").out.splitlines()[-1] == "1 applied"


@pytest.mark.thorough
def test_a_file_that_is_missing_or_no_migration_stops_everything(
    run: Run, home: Path, last: Path, tmp_path: Path
) -> None:
    (home / "migrations" / f"{NAMES[2]}.sql").rename(tmp_path / "kept.sql")
    assert_error(run("migrate", "up"), f"{NAMES[3]} exists, but no file has the number 0003", "git checkout")
    shutil.move(tmp_path / "kept.sql", home / "migrations" / f"{NAMES[2]}.sql")
    last.write_text("-- Fill it.\ninsert into {{ database }}.items select * from {{ database }}.items\n")
    assert_error(
        run("migrate", "up"), f"{last.stem} is an `insert`, which cannot be repeated", "Let a view derive the rows"
    )
    last.unlink()
    assert run("migrate", "up").status == 0
    (home / "migrations" / f"{NAMES[-2]}.sql").unlink()
    assert_error(run("migrate", "status"), f"the database has migration {len(NAMES) - 1:04}", "git pull")


@pytest.mark.thorough
def test_a_folder_without_its_database_is_told_and_all_is_pending(run_migrated: Run, tmp_path: Path) -> None:
    run = run_migrated
    for words in (("check",), ("pipe", "run", "trending")):
        ran = run(*words, ALSOBOUGHT_DATABASE="other")
        assert_error(
            ran, f"there is no database other in {tmp_path / 'data'}", "alsobought migrate up", "ALSOBOUGHT_DATABASE"
        )
    ran = run("migrate", "status", ALSOBOUGHT_DATABASE="other")
    assert (ran.status, re.findall(r"^pending +(\S+)$", ran.out, re.MULTILINE)) == (0, NAMES)
    assert run("migrate", "plan", ALSOBOUGHT_DATABASE="other").out.endswith(f"-- {len(NAMES)} to apply\n")
    assert_error(run("check", ALSOBOUGHT_DATABASE="other"), "there is no database other")  # those made none


def test_the_schema_is_written_and_checked(run: Run, home: Path, last: Path) -> None:
    extra = home / "migrations" / f"{len(NAMES) + 1:04}_extra.sql"
    extra.write_text(EXTRA)
    ran = run("migrate", "schema", "--check")
    assert (ran.status, ran.out) == (1, "sql/schema/extra.sql differs from the migrations\n")
    assert_error(ran, "1 files of sql/schema/ are out of date", "Run `alsobought migrate schema`")
    assert run("migrate", "schema").out == "sql/schema/extra.sql\n"
    assert (
        (home / "sql" / "schema" / "extra.sql").read_text().endswith("ORDER BY x\nSETTINGS index_granularity = 8192\n")
    )
    ran = run("migrate", "schema", "--check")
    assert (ran.status, ran.out) == (0, "sql/schema/ is up to date.\n")
