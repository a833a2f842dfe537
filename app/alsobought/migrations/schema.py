"""sql/schema/: the schema that the migrations add up to, a generated file for each object.

The text is the engine's own without the database's name, below the reasons of all migrations that
created or changed the object.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alsobought.migrations.files import Migration
from alsobought.project_files import read_utf8
from alsobought.storage.warehouse import Warehouse

DATABASE = "alsobought_replayed"  # occurs in no migration, so that it can be removed from the text
HEAD = "-- Made by `alsobought migrate schema` from migrations/: edit those, not this.\n"


def schema(warehouse: Warehouse, files: Sequence[Migration]) -> dict[str, str]:
    """{file name: text} of a database in memory to which all these migrations were applied."""
    reasons: dict[str, str] = {}
    for migration in files:
        shape = migration.shape
        reason = f"--\n-- {migration.name}\n" + "".join(
            f"-- {line}".rstrip() + "\n" for line in migration.reason.split("\n")
        )
        if shape.verb == "drop":
            del reasons[shape.name]
        else:
            reasons[shape.name] = reasons.get(shape.name, "") + reason
    return {f"{name}.sql": f"{HEAD}{reason}\n{_created(warehouse, name)}\n" for name, reason in reasons.items()}


def _created(warehouse: Warehouse, name: str) -> str:
    sql = "select formatQuery(create_table_query) from system.tables where database = {d:String} and name = {n:String}"
    text: str = warehouse.trusted_rows(sql, {"d": warehouse.database, "n": name}).data[0][0]
    formatted = "\n".join(line.rstrip() for line in text.replace("\\n", "\n").splitlines())
    return formatted.replace(f"{warehouse.database}.", "")


def differing(folder: Path, expected: dict[str, str]) -> list[str]:
    """The names of the files that differ, are missing, or are superfluous."""
    actual = {path.name: read_utf8(path) for path in sorted(folder.glob("*.sql"))}
    return sorted(name for name in actual.keys() | expected.keys() if actual.get(name) != expected.get(name))


def write(folder: Path, expected: dict[str, str]) -> list[str]:
    """Writes and deletes files until the folder holds exactly these; returns the changed ones."""
    changed = differing(folder, expected)
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in expected:
            (folder / name).write_text(expected[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    return changed
