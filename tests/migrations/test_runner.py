"""Migrations: numbered files, each done or not done, forward only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from alsobought.errors import MigrationFault, WarehouseFault
from alsobought.migrations import journal, lock
from alsobought.migrations.runner import plan, status, up
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.warehouse import Warehouse
from tests.support.engines import Engine

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
    return [one.migration.name for one in up(warehouse, folder)]


def rejection(warehouse: Warehouse, folder: Path) -> str:
    """The message with which `up` refuses to begin."""
    with pytest.raises(MigrationFault) as raised:
        list(up(warehouse, folder))
    return str(raised.value)


def entries(warehouse: Warehouse) -> list[list[object]]:
    sql = f"select version, state from {warehouse.database}.migrations order by entry"
    return warehouse.trusted_rows(sql).data


def killed_at(warehouse: Warehouse, folder: Path, version: int, *, ran: bool) -> None:
    """As if a run had died at this migration, before or after its statement."""
    planned = next(one for one in plan(warehouse, folder, warehouse.database) if one.migration.version == version)
    sql = planned.migration.statement(warehouse.database).sql
    journal.write(warehouse, next(journal.open_journal(warehouse)), planned.migration, "started", sql=sql)
    if ran:
        warehouse.command(planned.statements[0])


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
    said = rejection(warehouse, folder)
    assert "0001_one was edited after it was applied. Restore it with `git checkout migrations/0001_one.sql`" in said
    assert "write a new migration" in said
    assert "three" not in warehouse.tables()


def test_one_that_fails_leaves_those_before_it_and_is_tried_again(warehouse: Warehouse, folder: Path) -> None:
    write(folder, 2, "two", "create table {{ database }}.two (x Nonsense) engine = MergeTree order by x")
    write(folder, 3, "three")
    with pytest.raises(MigrationFault, match=r"0002_two failed.*Nonsense"):
        applied(warehouse, folder)
    assert states(warehouse, folder) == {"0001_one": "applied", "0002_two": "failed", "0003_three": "pending"}
    assert "Nonsense" in status(warehouse, folder)[1].entry.error  # type: ignore[union-attr]
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


def test_each_start_and_end_is_in_the_journal_with_its_time(warehouse: Warehouse, folder: Path) -> None:
    list(up(warehouse, folder))
    assert entries(warehouse) == [[1, "started"], [1, "applied"], [2, "started"], [2, "applied"]]
    for step in status(warehouse, folder):
        assert step.entry
        assert step.entry.applied_at.startswith("20")
        assert step.entry.seconds is not None
        assert step.entry.seconds > 0


def test_a_database_of_the_first_version_goes_on_working(warehouse: Warehouse, folder: Path) -> None:
    warehouse.command(journal.TABLE.format(database=warehouse.database))
    for step in status(warehouse, folder):
        warehouse.command(next(iter(plan(warehouse, folder, warehouse.database))).statements[0])
        old = {"version": step.migration.version, "name": step.migration.name, "checksum": step.migration.checksum}
        warehouse.insert("migrations", msgspec.json.encode(old), columns=tuple(old))
    assert states(warehouse, folder) == {"0001_one": "applied", "0002_two": "applied"}
    assert applied(warehouse, folder) == []
    assert status(warehouse, folder)[0].entry.seconds is None  # type: ignore[union-attr]
    write(folder, 3, "three")
    assert applied(warehouse, folder) == ["0003_three"]
    write(folder, 1, "one", "create table {{ database }}.one (x UInt16) engine = MergeTree order by x")
    assert states(warehouse, folder) == {"0001_one": "edited", "0002_two": "applied", "0003_three": "applied"}


@pytest.mark.parametrize("ran", [False, True])
def test_a_killed_run_is_shown_and_goes_on(warehouse: Warehouse, folder: Path, ran: bool) -> None:
    killed_at(warehouse, folder, 1, ran=ran)
    assert states(warehouse, folder) == {"0001_one": "started", "0002_two": "pending"}
    assert applied(warehouse, folder) == ["0001_one", "0002_two"]
    assert set(states(warehouse, folder).values()) == {"applied"}


OTHER = "create table {{ database }}.two (x UInt16) engine = MergeTree order by x"


def test_a_file_edited_after_a_kill_is_refused_if_its_old_text_may_have_run(warehouse: Warehouse, folder: Path) -> None:
    killed_at(warehouse, folder, 2, ran=True)
    write(folder, 2, "two", OTHER)
    said = rejection(warehouse, folder)
    assert "0002_two was edited after a run was killed at it" in said
    assert f"`drop table {warehouse.database}.two` first" in said
    assert "one" not in warehouse.tables()
    warehouse.command(f"drop table {warehouse.database}.two")
    assert applied(warehouse, folder) == ["0001_one", "0002_two"]
    assert (
        warehouse.value(f"select type from system.columns where database = '{warehouse.database}' and table = 'two'")
        == "UInt16"
    )


def test_a_file_edited_after_a_kill_runs_if_nothing_had_been_done(warehouse: Warehouse, folder: Path) -> None:
    killed_at(warehouse, folder, 2, ran=False)
    write(folder, 2, "two", OTHER)
    assert applied(warehouse, folder) == ["0001_one", "0002_two"]


@pytest.mark.parametrize(
    ("sql", "ran", "refused"),
    [
        ("alter table {{ database }}.one add column y UInt8", False, True),
        ("alter table {{ database }}.one add column y UInt8", True, True),
        ("drop table {{ database }}.one", True, True),
        ("drop table {{ database }}.one", False, False),
    ],
)
def test_what_a_killed_drop_or_alter_did_is_judged_by_what_is_there(
    warehouse: Warehouse, folder: Path, sql: str, ran: bool, refused: bool
) -> None:
    list(up(warehouse, folder))
    write(folder, 3, "three", sql)
    killed_at(warehouse, folder, 3, ran=ran)
    write(folder, 3, "three", "alter table {{ database }}.two add column z UInt8")
    if refused:
        assert "0003_three was edited after a run was killed at it" in rejection(warehouse, folder)
    else:
        assert applied(warehouse, folder) == ["0003_three"]


def test_a_database_ahead_of_the_files_is_an_error(warehouse: Warehouse, folder: Path) -> None:
    list(up(warehouse, folder))
    (folder / "0002_two.sql").unlink()
    with pytest.raises(MigrationFault, match=r"the database has migration 0002, but .* ends at 0001.*git pull"):
        states(warehouse, folder)


def test_a_plan_is_what_up_runs_and_changes_nothing(warehouse: Warehouse, folder: Path) -> None:
    write(folder, 2, "two", "-- More.\nalter table {{ database }}.one add column y UInt8, drop column z;")
    planned = list(plan(warehouse, folder, warehouse.database))
    assert warehouse.tables() == frozenset()
    assert [one.migration.name for one in planned] == ["0001_one", "0002_two"]
    assert planned[1].statements == [
        f"-- A reason.\n-- More.\nalter table {warehouse.database}.one add column if not exists y UInt8,"
        " drop column if exists z"
    ]
    assert list(up(warehouse, folder)) == planned
    assert list(plan(warehouse, folder, warehouse.database)) == []
    assert [one.statements for one in plan(None, folder, warehouse.database)] == [one.statements for one in planned]


def test_a_new_view_says_how_many_events_it_does_not_know(warehouse: Warehouse, folder: Path) -> None:
    (folder / "0001_one.sql").unlink()
    write(folder, 1, "events")
    list(up(warehouse, folder))
    view = "create materialized view {{ database }}.v to {{ database }}.two as select x from {{ database }}.events"
    write(folder, 3, "v", view)
    (planned,) = plan(warehouse, folder, warehouse.database)
    assert planned.note == ""
    warehouse.command(f"insert into {warehouse.database}.events select 1 from numbers(1234)")
    (planned,) = plan(warehouse, folder, warehouse.database)
    assert planned.note == "v counts from now on only: 1,234 events are older; `alsobought rebuild two` counts them"
    list(up(warehouse, folder))
    write(folder, 4, "w", view.replace(".v to", ".w to"))
    (planned,) = plan(warehouse, folder, warehouse.database)
    assert planned.note == "", "another view has counted the older events"
    list(up(warehouse, folder))
    write(folder, 5, "more", "alter table {{ database }}.two add column y UInt8")
    (planned,) = plan(warehouse, folder, warehouse.database)
    assert planned.note == ("two has it for new rows only; `alsobought rebuild two` fills it for 1,234 older events")


def test_a_view_on_a_feed_is_what_counts(warehouse: Warehouse, folder: Path) -> None:
    (folder / "0001_one.sql").unlink()
    write(folder, 1, "events")
    list(up(warehouse, folder))
    warehouse.command(f"insert into {warehouse.database}.events select 1")
    create, database = "create materialized view {{ database }}", "{{ database }}"
    write(folder, 3, "feed", "create table {{ database }}.feed (x UInt8) engine = Null")
    write(folder, 4, "feed_mv", f"{create}.feed_mv to {database}.feed as select x from {database}.events")
    write(folder, 5, "two_mv", f"{create}.two_mv to {database}.two as select x from {database}.feed")
    notes = [planned.note for planned in plan(warehouse, folder, warehouse.database)]
    assert notes == [
        "",
        "",
        "two_mv counts from now on only: 1 events are older; `alsobought rebuild two` counts them",
    ]


def test_a_server_s_run_holds_the_lock_while_it_runs(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "needed", lambda _: True)
    run = up(warehouse, folder)
    assert next(run).migration.name == "0001_one"
    assert "is being migrated by process" in rejection(warehouse, folder)
    assert [one.migration.name for one in run] == ["0002_two"]
    assert lock.holder(warehouse) is None
    write(folder, 3, "three", "create table {{ database }}.three (x Nonsense) engine = MergeTree order by x")
    assert "Nonsense" in rejection(warehouse, folder)
    assert lock.holder(warehouse) is None


def test_a_connection_that_breaks_leaves_it_open_whether_the_statement_was_carried_out(
    warehouse: Warehouse, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, command = up(warehouse, folder), warehouse.command
    next(run)

    def broken(sql: str) -> None:
        command(sql)
        raise WarehouseFault("connection reset by peer") from ConnectionResetError()

    monkeypatch.setattr(warehouse, "command", broken)
    with pytest.raises(MigrationFault, match="0002_two failed: connection reset by peer"):
        next(run)
    monkeypatch.undo()
    assert states(warehouse, folder) == {"0001_one": "applied", "0002_two": "started"}
    assert applied(warehouse, folder) == ["0002_two"]
