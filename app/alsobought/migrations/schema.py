"""sql/schema/: what the migrations add up to, a generated file for each table, view and dictionary.

The text is the engine's own, without the name of the database, below the reasons of all migrations that made or changed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alsobought.migrations.files import Migration
from alsobought.storage.warehouse import Warehouse

DATABASE = "alsobought_replayed"  # a name that stands nowhere in the files, to be taken out of the text
HEAD = "-- Made by `alsobought migrate schema` from migrations/: edit those, not this.\n"


def schema(warehouse: Warehouse, found: Sequence[Migration]) -> dict[str, str]:
    """{file name: text}, of a database in memory to which all of these were applied."""
    reasons: dict[str, str] = {}
    for migration in found:
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
    laid_out = "\n".join(line.rstrip() for line in text.replace("\\n", "\n").splitlines())
    return laid_out.replace(f"{warehouse.database}.", "")


def differing(folder: Path, wanted: dict[str, str]) -> list[str]:
    """The files that are not what they should be, are missing, or should not be there."""
    there = {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))}
    return sorted(name for name in there.keys() | wanted.keys() if there.get(name) != wanted.get(name))


def write(folder: Path, wanted: dict[str, str]) -> list[str]:
    """Makes the folder say this, and tells which files changed."""
    changed = differing(folder, wanted)
    folder.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in wanted:
            (folder / name).write_text(wanted[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    return changed
