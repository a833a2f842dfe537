"""sql/schema/ is the migrations, replayed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from alsobought.migrations.runner import replayed_schema
from alsobought.migrations.schema import differing, write
from alsobought.settings import Settings
from tests.support.project import ROOT


def test_the_schema_that_is_kept_is_what_the_migrations_make() -> None:
    wanted = replayed_schema(Settings())
    assert differing(ROOT / "sql" / "schema", wanted) == [], "run `alsobought migrate schema`"
    assert "alsobought_replayed" not in "".join(wanted.values())


def test_a_file_has_the_reason_of_every_migration_that_made_or_changed_it(tmp_path: Path) -> None:
    texts = {
        "0001_one": "-- A table.\n-- Read it so.\ncreate table {{ database }}.one (x UInt8, y String) engine = Log",
        "0002_gone": "-- Soon gone.\ncreate table {{ database }}.gone (x UInt8) engine = Log",
        "0003_drop": "-- It goes.\ndrop table {{ database }}.gone",
        "0004_more": "-- One more.\nalter table {{ database }}.one modify comment 'a table'",
        "0005_v": "-- A view.\ncreate view {{ database }}.v as select x from {{ database }}.one where y = '{{ database }}'",
    }
    (tmp_path / "migrations").mkdir()
    for name, text in texts.items():
        (tmp_path / "migrations" / f"{name}.sql").write_text(text)
    wanted = replayed_schema(msgspec.structs.replace(Settings(), home=str(tmp_path)))
    assert list(wanted) == ["one.sql", "v.sql"]
    head, _, created = wanted["one.sql"].partition("\n\n")
    assert head.splitlines()[1:] == [
        *("--", "-- 0001_one", "-- A table.", "-- Read it so."),
        *("--", "-- 0004_more", "-- One more."),
    ]
    assert created == "CREATE TABLE one\n(\n    `x` UInt8,\n    `y` String\n)\nENGINE = Log\nCOMMENT 'a table'\n"

    folder = tmp_path / "sql" / "schema"
    assert differing(folder, wanted) == ["one.sql", "v.sql"]
    assert write(folder, wanted) == ["one.sql", "v.sql"]
    (folder / "gone.sql").write_text("")
    (folder / "v.sql").write_text("other")
    assert differing(folder, wanted) == ["gone.sql", "v.sql"]
    assert write(folder, wanted) == ["gone.sql", "v.sql"]
    assert differing(folder, wanted) == []
    assert sorted(path.name for path in folder.iterdir()) == ["one.sql", "v.sql"]
