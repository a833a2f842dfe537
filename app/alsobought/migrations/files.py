"""The files of migrations/: NNNN_name.sql, a comment with the reason, one statement. Forward only.

Where any is new or edited, all are checked when they are read: nothing has run yet when a fault is told.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jinja2

from alsobought.errors import MigrationFault
from alsobought.migrations.statement import Statement, read_statement

UNWRITTEN = "…"
_environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701


@dataclass(frozen=True)
class Migration:
    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    @property
    def reason(self) -> str:
        """The comment on top, without its dashes."""
        found = re.match(r"(?:--[^\n]*\n)*", self.text + "\n")
        return "\n".join(line.removeprefix("--").strip() for line in found[0].splitlines()) if found else ""

    @property
    def file(self) -> str:
        return f"migrations/{self.name}.sql"

    @property
    def shape(self) -> Statement:
        """What it does, whatever the database is called."""
        return self.statement("alsobought")

    def statement(self, database: str) -> Statement:
        """The SQL for one node: names, engine and window filled in."""
        try:
            return _statement(self.text, database)
        except MigrationFault as fault:
            raise MigrationFault(f"{self.name} {fault.message}", fault.hint) from fault
        except Exception as error:  # an expression in a template may raise whatever it likes
            raise MigrationFault(f"{self.name} does not render: {error}") from error


@cache
def _statement(text: str, database: str) -> Statement:
    window = "non_replicated_deduplication_window = 1000"
    return read_statement(
        _environment.from_string(text).render(database=database, engine=engine, window=window), database
    )


def engine(name: str, arguments: str = "") -> str:
    """The engine clause of one node.

    >>> engine("SummingMergeTree", "(baskets, weight)")
    'SummingMergeTree((baskets, weight))'
    """
    return f"{name}({arguments})"


def migrations(folder: Path, applied: Mapping[int, str] | None = None) -> list[Migration]:
    """All files, in order, each with a reason and one repeatable statement.

    `applied`, the checksums by version: if that is all of them, as almost always, none is looked at again; it takes a third of
    the time of a short command.

    Raises MigrationFault for the first that is not, for a gap, and for a number used twice.
    """
    found = [_read(path) for path in sorted(folder.glob("*.sql"))]
    if not found:
        raise MigrationFault(
            f"there are no migrations in {folder}",
            "Set ALSOBOUGHT_HOME to the project's folder, or make one with `alsobought init`",
        )
    _refuse_gaps(found)
    if applied == {migration.version: migration.checksum for migration in found}:
        return found
    for migration in found:
        if not migration.reason:
            raise MigrationFault(f"{migration.name} gives no reason", "Begin it with a comment that says why")
        if UNWRITTEN in migration.reason.splitlines():
            raise MigrationFault(
                f"{migration.name} is not written yet", f"Put its reason where `-- {UNWRITTEN}` stands"
            )
        _ = migration.shape
    _refuse_clashes(found)
    return found


def tables(found: Sequence[Migration]) -> frozenset[str]:
    """Every table that any of the files creates."""
    shapes = [migration.shape for migration in found]
    return frozenset(shape.name for shape in shapes if (shape.verb, shape.kind) == ("create", "table"))


def _read(path: Path) -> Migration:
    if not (match := re.fullmatch(r"(\d{4})_[a-z0-9_]+", path.stem)):
        raise MigrationFault(f"{path.name} is not named like 0001_events.sql")
    try:
        return Migration(int(match[1]), path.stem, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise MigrationFault(f"{path.name} cannot be read as text", "Save it as UTF-8") from error


def _refuse_clashes(found: Sequence[Migration]) -> None:
    """`if not exists` would pass over a name that is taken without a word, `if exists` over one that is misspelt."""
    made: dict[str, str] = {}
    for migration in found:
        verb, name = migration.shape.verb, migration.shape.name
        if verb == "create" and name in made:
            raise MigrationFault(f"{migration.name} creates {name}, as {made[name]} does", "Use another name")
        if verb != "create" and name not in made:
            raise MigrationFault(f"{migration.name} would {verb} {name}, which no migration before it creates")
        if verb == "create":
            made[name] = migration.name
        elif verb == "drop":
            del made[name]


def _refuse_gaps(found: Sequence[Migration]) -> None:
    for expected, migration in enumerate(found, start=1):
        if migration.version > expected:
            raise MigrationFault(
                f"{migration.name} is there, and no file has the number {expected:04}",
                "Put the missing one back with `git checkout`; if there never was one, give a new file that number",
            )
        if migration.version < expected:
            raise MigrationFault(
                f"{found[expected - 2].name} and {migration.name} have the same number",
                "Give the one that is not applied yet the next free number",
            )
