"""Migrations: numbered files, each done or not done, forward only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import MigrationFault
from app.migrate import migrations, status, up
from app.settings import HOME
from app.warehouse import Warehouse, open_warehouse
from tests.engines import Engine

_numbers = itertools.count()


@pytest.fixture
def warehouse(on: Engine) -> Iterator[Warehouse]:
    """An empty database."""
    warehouse = open_warehouse(on.settings(database=f"migrated_{next(_numbers)}"))
    yield warehouse
    warehouse.command(f"drop database {warehouse.database}")
    warehouse.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations: `one` and `two`."""
    for number, name in enumerate(("one", "two"), start=1):
        write(tmp_path, number, name)
    return tmp_path


def write(folder: Path, number: int, name: str, sql: str = "") -> Path:
    path = folder / f"{number:04}_{name}.sql"
    create = f"create table {{{{ database }}}}.{name} (x UInt8) engine = {{{{ engine('MergeTree') }}}} order by x"
    path.write_text(f"-- A reason.\n{sql or create}\n")
    return path


def states(warehouse: Warehouse, folder: Path) -> dict[str, str]:
    return {step.migration.name: step.state for step in status(warehouse, folder)}


def applied(warehouse: Warehouse, folder: Path) -> list[str]:
    return [migration.name for migration in up(warehouse, folder)]


def test_what_is_pending_is_applied_in_order_and_only_once(warehouse: Warehouse, folder: Path) -> None:
    assert states(warehouse, folder) == {"0001_one": "pending", "0002_two": "pending"}
    assert applied(warehouse, folder) == ["0001_one", "0002_two"]
    assert states(warehouse, folder) == {"0001_one": "applied", "0002_two": "applied"}
    assert applied(warehouse, folder) == []
    write(folder, 3, "three")
    assert applied(warehouse, folder) == ["0003_three"]
    assert warehouse.tables() == {"one", "two", "three", "migrations"}


def test_looking_at_the_status_changes_nothing(warehouse: Warehouse, folder: Path) -> None:
    states(warehouse, folder)
    assert warehouse.tables() == frozenset()


def test_an_edited_file_stops_everything_before_anything_happens(warehouse: Warehouse, folder: Path) -> None:
    assert applied(warehouse, folder) == ["0001_one", "0002_two"]
    write(folder, 1, "one", "create table {{ database }}.one (x UInt16) engine = MergeTree order by x")
    write(folder, 3, "three")
    assert states(warehouse, folder) == {"0001_one": "edited", "0002_two": "applied", "0003_three": "pending"}
    with pytest.raises(MigrationFault, match="0001_one was edited after it was applied"):
        applied(warehouse, folder)
    assert "three" not in warehouse.tables()


def test_one_that_fails_leaves_those_before_it_and_is_tried_again(warehouse: Warehouse, folder: Path) -> None:
    write(folder, 2, "two", "create table {{ database }}.two (x Nonsense) engine = MergeTree order by x")
    write(folder, 3, "three")
    with pytest.raises(MigrationFault, match=r"0002_two failed.*Nonsense"):
        applied(warehouse, folder)
    assert states(warehouse, folder) == {"0001_one": "applied", "0002_two": "pending", "0003_three": "pending"}
    write(folder, 2, "two")
    assert applied(warehouse, folder) == ["0002_two", "0003_three"]


@pytest.mark.parametrize("kind", ["table", "materialized view", "dictionary"])
def test_a_run_that_died_before_its_line_in_the_journal_is_repeated(
    warehouse: Warehouse, folder: Path, kind: str
) -> None:
    sql = {
        "table": "create table {{ database }}.three (x UInt8) engine = MergeTree order by x",
        "materialized view": "create materialized view {{ database }}.three to {{ database }}.two as\n"
        "select x from {{ database }}.one",
        "dictionary": "create dictionary {{ database }}.three (x UInt64, y UInt8) primary key x\n"
        "source(clickhouse(query 'select 1 as x, 2 as y')) layout(hashed()) lifetime(0)",
    }[kind]
    write(folder, 3, "three", sql)
    assert "0003_three" in applied(warehouse, folder)
    warehouse.command(f"truncate table {warehouse.database}.migrations")
    assert applied(warehouse, folder) == ["0001_one", "0002_two", "0003_three"]
    assert set(states(warehouse, folder).values()) == {"applied"}


def test_a_database_ahead_of_the_files_is_an_error(warehouse: Warehouse, folder: Path) -> None:
    applied(warehouse, folder)
    (folder / "0002_two.sql").unlink()
    with pytest.raises(MigrationFault, match=r"the database has migration 0002, and .* ends at 0001"):
        states(warehouse, folder)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("0004_four.sql", "0004_four should have the number 0003"),
        ("0002_again.sql", "0002_two should have the number 0003"),
        ("three.sql", r"three.sql is not named like 0001_events.sql"),
        ("03_three.sql", "03_three.sql is not named"),
        ("0003-three.sql", "0003-three.sql is not named"),
        ("0003_Three.sql", "0003_Three.sql is not named"),
    ],
)
def test_numbers_follow_one_another(folder: Path, name: str, problem: str) -> None:
    (folder / name).write_text("-- A reason.\nselect 1\n")
    with pytest.raises(MigrationFault, match=problem):
        migrations(folder)


def test_a_folder_without_migrations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MigrationFault, match="there are no migrations"):
        migrations(tmp_path)


@pytest.mark.parametrize("text", ["{{ nonsense }}", "{% if %}", "{{ engine( }}"])
def test_a_template_that_does_not_render_says_which_file(folder: Path, text: str) -> None:
    write(folder, 3, "three", text)
    with pytest.raises(MigrationFault, match="0003_three does not render"):
        migrations(folder)[2].statement("shop")


def test_the_project_s_own_migrations_are_one_statement_and_a_reason() -> None:
    found = migrations(HOME / "migrations")
    for migration in found:
        assert migration.text.startswith("-- "), f"{migration.name} begins with its reason"
        body = [line for line in migration.statement("shop").splitlines() if not line.startswith("--")]
        assert ";" not in "\n".join(body).rstrip().rstrip(";"), f"{migration.name} is one statement"
        assert "shop." in "\n".join(body)
