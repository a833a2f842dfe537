"""What a file of migrations/ may be: a number, a reason, one statement that may run twice.

And the drafts of new ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from alsobought.counts.sum_checks import wrong_rows
from alsobought.errors import MigrationFault, Unusable
from alsobought.migrations.draft import draft
from alsobought.migrations.files import migrations
from alsobought.migrations.idempotence import COMMANDS, REJECTED
from alsobought.migrations.runner import up
from alsobought.migrations.statement import read_statement, repeatable
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.warehouse import Warehouse
from tests.support.project import ROOT

CREATE = "create table {{ database }}.one (x UInt8) engine = MergeTree order by x"


def file(folder: Path, name: str, text: str) -> Path:
    (folder / f"{name}.sql").write_text(text)
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(MigrationFault) as raised:
        migrations(folder)
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("0004_four", "0004_four exists, but no file has the number 0003. Restore the missing file"),
        ("0002_again", "0002_again and 0002_two have the same number"),
        ("three", "three.sql does not match NNNN_name.sql, as in 0001_events.sql"),
        ("03_three", "03_three.sql does not match"),
        ("0003-three", "0003-three.sql does not match"),
        ("0003_Three", "0003_Three.sql does not match"),
    ],
)
def test_numbers_follow_one_another(tmp_path: Path, name: str, problem: str) -> None:
    for other in ("0001_one", "0002_two", name):
        file(tmp_path, other, f"-- A reason.\n{CREATE}\n")
    assert problem in refusal(tmp_path)


def test_a_folder_without_migrations_is_an_error(tmp_path: Path) -> None:
    assert "there are no migrations" in refusal(tmp_path)


@pytest.mark.parametrize("text", ["{{ nonsense }}", "{% if %}", "{{ engine( }}", "{{ engine() }}", "{{ 1 / 0 }}"])
def test_a_template_that_does_not_render_says_which_file(tmp_path: Path, text: str) -> None:
    assert "0001_one does not render" in refusal(file(tmp_path, "0001_one", f"-- Why.\n{text}"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (CREATE, "has no reason. Begin it with a comment"),
        (f"-- …\n{CREATE}", "has no reason yet. Replace"),
        ("-- Why.\n", "holds no statement"),
        ("-- Why.\n;", "holds no statement"),
        (f"-- Why.\n{CREATE};\n{CREATE}", "holds more than one statement. Put each in a file of its own"),
        ("-- Why.\ncreate table {{ database }}.one (x String default 'a)", "cannot be read: a quote"),
        ("-- Why.\nselect 1", "begins with 'select 1'. A migration is create, drop or alter"),
        ("-- Why.\ncreate database x", "begins with 'create database'"),
        ("-- Why.\nalter view {{ database }}.x", "begins with 'alter view'"),
        (
            "-- Why.\ncreate table one (x UInt8) engine = Log",
            "does not name the database. Write create table {{ database }}",
        ),
        ("-- Why.\ndrop table other.one", "does not name the database"),
        ("-- Why.\ndrop table", "does not name the database"),
        ("-- Why.\ncreate or replace table {{ database }}.one (x UInt8) engine = Log", "drops the existing one"),
        ("-- Why.\ncreate table {{ database }}.one engine = Log as select 1 as x", "may stop halfway"),
        ("-- Why.\ncreate table {{ database }}.one engine = Log as (select 1 as x)", "may stop halfway"),
        ("-- Why.\ncreate table {{ database }}.one engine = Log as with 1 as x select x", "may stop halfway"),
        (
            "-- Why.\ncreate materialized view {{ database }}.v engine = Log populate as select x from {{ database }}.one",
            "has `populate`",
        ),
        ("-- Why.\ndrop table {{ database }}.one on cluster c", "has `on cluster`. Leave it out"),
        (
            "-- Why.\nalter table {{ database }}.one delete where x = 1",
            "`alter table … delete where`, which is not known",
        ),
        ("-- Why.\nalter table {{ database }}.one update x = x + 1 where 1", "alter table … update x"),
        ("-- Why.\nalter table {{ database }}.one modify query select 1", "alter table … modify query"),
        ("-- Why.\nalter table {{ database }}.one modify setting a = 1, rename column x to y", "… rename column"),
        ("-- Why.\nalter table {{ database }}.one", "alter table … "),
    ],
)
def test_a_file_that_could_do_harm_is_refused_with_what_to_do(tmp_path: Path, text: str, problem: str) -> None:
    assert f"0001_one {problem}" in refusal(file(tmp_path, "0001_one", text)) or problem in refusal(tmp_path)


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("create view {{ database }}.one as select 1", "0002_two creates one, as 0001_one does. Use another name"),
        ("drop table {{ database }}.on", "0002_two would drop on, which no earlier migration creates"),
        (
            "alter table {{ database }}.on drop column x",
            "0002_two would alter on, which no earlier migration creates",
        ),
    ],
)
def test_a_name_that_is_taken_or_unknown_is_told_before_anything_runs(tmp_path: Path, sql: str, problem: str) -> None:
    file(tmp_path, "0001_one", f"-- Why.\n{CREATE}")
    assert refusal(file(tmp_path, "0002_two", f"-- Why.\n{sql}")) == problem


def test_a_name_that_was_dropped_may_be_used_again(tmp_path: Path) -> None:
    for name, sql in (("0001_one", CREATE), ("0002_two", "drop table {{ database }}.one"), ("0003_three", CREATE)):
        file(tmp_path, name, f"-- Why.\n{sql}")
    assert [migration.shape.verb for migration in migrations(tmp_path)] == ["create", "drop", "create"]


@pytest.mark.parametrize("verb", REJECTED)
def test_a_verb_that_cannot_be_repeated_is_refused_with_the_reason(tmp_path: Path, verb: str) -> None:
    said = refusal(file(tmp_path, "0001_one", f"-- Why.\n{verb} table {{{{ database }}}}.one"))
    assert said.startswith(f"0001_one is an `{verb}`, which cannot be repeated: after a kill it ")
    assert said.endswith(REJECTED[verb][1])


@pytest.mark.parametrize(
    "text",
    [
        "create table shop.one (x String default 'a; b''c\\'; -- d') engine = MergeTree order by x;",
        "create table shop.one (x String /* ; */ default ';') engine = MergeTree order by x -- ; and so on\n;\n",
        "create materialized view shop.v to shop.one as select 'populate; insert' as x from shop.events",
        "create dictionary shop.d (x UInt64) primary key x source(clickhouse(query 'select 1;')) layout(flat()) lifetime(0)",
    ],
)
def test_a_semicolon_or_a_verb_in_quotes_or_comments_is_text(text: str) -> None:
    again = repeatable(read_statement(f"-- Why; because.\n{text}", "shop"))
    assert again.startswith("-- Why; because.\ncreate ")
    assert "if not exists shop." in again
    assert again.endswith(("order by x", "from shop.events", "lifetime(0)"))


@pytest.mark.parametrize(
    "text",
    [
        "create table if not exists shop.one (x UInt8) engine = Log",
        "drop view if exists shop.one",
        "alter table shop.one add column if not exists x UInt8, drop index if exists y, modify setting a = 1, b = 2",
    ],
)
def test_what_a_file_says_itself_is_not_said_twice(text: str) -> None:
    assert repeatable(read_statement(text, "shop")) == text


def test_the_project_s_own_migrations_pass() -> None:
    found = migrations(ROOT / "migrations")
    assert [migration.version for migration in found] == list(range(1, len(found) + 1))
    assert {migration.shape.verb for migration in found} <= {"create", "alter", "drop"}


# On the engine


@pytest.fixture
def warehouse() -> Iterator[Warehouse]:
    warehouse = open_warehouse(Settings(dsn="chdb://:memory:", database="repeated"))
    yield warehouse
    warehouse.command("drop database repeated")
    warehouse.close()


SAMPLES = {
    ("add", "column"): "w UInt8 default 1 after x",
    ("add", "index"): "j (x, y) type minmax granularity 1",
    ("add", "projection"): "q (select y order by y)",
    ("add", "constraint"): "l check y < 200",
    ("drop", "column"): "z",
    ("drop", "index"): "i",
    ("drop", "projection"): "p",
    ("drop", "constraint"): "k",
    ("modify", "column"): "z UInt32",
    ("comment", "column"): "z 'last, or least'",
    ("modify", "comment"): "'a table; of tests'",
    ("modify", "setting"): "merge_with_ttl_timeout = 100, min_bytes_for_wide_part = 1",
    ("modify", "ttl"): "d + interval 1 year, d + interval 2 year delete where x = 1",
    ("reset", "setting"): "merge_with_ttl_timeout",
    ("materialize", "column"): "y",
    ("materialize", "index"): "i",
    ("materialize", "projection"): "p",
    ("materialize", "ttl"): "",
}


def test_every_command_of_an_alter_may_run_twice_and_beside_another(warehouse: Warehouse) -> None:
    assert set(SAMPLES) == set(COMMANDS)
    for command, rest in SAMPLES.items():
        warehouse.command(
            "create table repeated.t (x UInt8, y UInt8 default 1, z UInt16, d Date, index i y type minmax,"
            " projection p (select x order by x), constraint k check x < 200) engine = MergeTree order by x ttl d + interval 3 year"
        )
        change = f"{' '.join(command)} {rest}"
        beside = f"add column extra UInt8, {change}"
        for one in (change, beside) if command[1] != "setting" else (change,):  # the engine wants settings alone
            again = repeatable(read_statement(f"alter table repeated.t {one}", "repeated"))
            warehouse.command(again)
            warehouse.command(again)
        warehouse.command("drop table repeated.t sync")


@pytest.mark.parametrize("kind", ["table", "view", "materialized view", "dictionary"])
def test_every_create_and_drop_may_run_twice(warehouse: Warehouse, kind: str) -> None:
    body = {
        "table": "(x UInt8) engine = MergeTree order by x",
        "view": "as select 1 as x",
        "materialized view": "to repeated.target as select x from repeated.target",
        "dictionary": "(x UInt64, y UInt8) primary key x source(clickhouse(query 'select 1 as x, 2 as y'))"
        " layout(hashed()) lifetime(0)",
    }[kind]
    warehouse.command("create table repeated.target (x UInt8) engine = MergeTree order by x")
    for sql in (f"create {kind} repeated.made {body}", f"drop {kind.rsplit(maxsplit=1)[-1]} repeated.made"):
        again = repeatable(read_statement(sql, "repeated"))
        warehouse.command(again)
        warehouse.command(again)
        assert ("made" in warehouse.tables()) == sql.startswith("create")


# Drafts


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder, pattern in (("migrations", "*.sql"), ("sql/checks", "*.sql")):
        (tmp_path / folder).mkdir(parents=True)
        for path in (ROOT / folder).glob(pattern):
            (tmp_path / folder / path.name).write_text(path.read_text())
    return tmp_path


def test_a_draft_is_the_next_file_and_is_refused_until_it_has_a_reason(home: Path) -> None:
    number = len(migrations(home / "migrations")) + 1
    (path,) = draft(home, "add_colour", view=False)
    assert path == home / "migrations" / f"{number:04}_add_colour.sql"
    assert f"{path.stem} has no reason yet" in refusal(home / "migrations")
    path.write_text(path.read_text().replace("-- …", "-- Tea has colours."))
    assert migrations(home / "migrations")[-1].shape.commands[0].noun == "column"


def test_the_draft_of_a_count_table_counts_and_its_check_passes(home: Path, warehouse: Warehouse) -> None:
    table, view, check = draft(home, "item_days", view=True)
    assert "has no reason yet" in refusal(home / "migrations")
    table.write_text(table.read_text().replace("-- …", "-- Events of items by day."))
    assert table.read_text().startswith("-- Events of items by day.\n")
    list(up(warehouse, home / "migrations"))
    warehouse.insert("events", b'{"item_id": "tea", "user_id": "u", "event_id": "1"}\n{"item_id": "tea"}\n')
    assert warehouse.value("select sum(events) from repeated.item_days") == 2
    assert view.name.endswith("_item_days_mv.sql")
    only = home / "only"
    only.mkdir()
    check.rename(only / check.name)
    assert list(wrong_rows(warehouse, only)) == [("item_days", 0)]
    warehouse.command("insert into repeated.item_days values ('2026-01-01', 1, 1)")
    assert list(wrong_rows(warehouse, only)) == [("item_days", 1)]


@pytest.mark.parametrize("name", ["", "Tea", "a b", "../x", "1st"])
def test_a_name_that_is_no_name_is_refused(home: Path, name: str) -> None:
    with pytest.raises(Unusable, match="cannot name a migration"):
        draft(home, name, view=False)


def test_a_table_that_exists_is_not_drafted_again(home: Path) -> None:
    with pytest.raises(Unusable, match="there is a co_baskets already"):
        draft(home, "co_baskets", view=True)
