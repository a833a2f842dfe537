"""The files of migrations/: NNNN_name.sql, a comment with the reason, one statement. Forward only.

If any file is new or edited, all are checked when they are read, so that nothing has run yet when a
fault is reported.
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
from alsobought.project_files import read_utf8, reason
from alsobought.storage.count_tables import FEED_ENGINE
from alsobought.storage.replicated_tables import KEY_VALUE_ENGINE

PLACEHOLDER = "…"
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
        """The comment at the top, without its dashes."""
        comment = re.match(r"(?:--[^\n]*\n)*", self.text + "\n")
        return "\n".join(line.removeprefix("--").strip() for line in comment[0].splitlines()) if comment else ""

    @property
    def file(self) -> str:
        return f"migrations/{self.name}.sql"

    @property
    def shape(self) -> Statement:
        """The statement for a database with the default name."""
        return self.statement("alsobought")

    def statement(self, database: str) -> Statement:
        """The SQL for one node: database, engine and deduplication window rendered."""
        try:
            return _statement(self.text, database)
        except MigrationFault as fault:
            raise MigrationFault(f"{self.name} {fault.message}", fault.hint) from fault
        except Exception as error:  # an expression in a template may raise anything
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

    `applied` are the checksums by version. If every file is applied, as almost always, none is
    parsed: parsing takes a third of the time of a short command.

    Raises MigrationFault for the first invalid file, for a gap, and for a number used twice.
    """
    files = [_read(path) for path in sorted(folder.glob("*.sql"))]
    if not files:
        raise MigrationFault(
            f"there are no migrations in {folder}",
            "Set ALSOBOUGHT_HOME to the project's folder, or create one with `alsobought init`",
        )
    _reject_gaps(files)
    if applied == {migration.version: migration.checksum for migration in files}:
        return files
    for migration in files:
        if not migration.reason:
            raise MigrationFault(f"{migration.name} has no reason", "Begin it with a comment that gives the reason")
        if PLACEHOLDER in migration.reason.splitlines():
            raise MigrationFault(f"{migration.name} has no reason yet", f"Replace `-- {PLACEHOLDER}` with the reason")
        _ = migration.shape
    _reject_name_clashes(files)
    return files


def by_key(files: Sequence[Migration]) -> frozenset[str]:
    """Every table that any of the files creates with a key-value engine."""
    shapes = [migration.shape for migration in files]
    return frozenset(
        shape.name for shape in shapes if shape.verb == "create" and shape.engine == KEY_VALUE_ENGINE.lower()
    )


def feeds(files: Sequence[Migration]) -> frozenset[str]:
    """The tables that only pass rows on to the views on them."""
    shapes = [migration.shape for migration in files]
    return frozenset(shape.name for shape in shapes if shape.verb == "create" and shape.engine == FEED_ENGINE.lower())


def _read(path: Path) -> Migration:
    if not (match := re.fullmatch(r"(\d{4})_[a-z0-9_]+", path.stem)):
        raise MigrationFault(f"{path.name} does not match NNNN_name.sql, as in 0001_events.sql")
    try:
        return Migration(int(match[1]), path.stem, read_utf8(path))
    except OSError as error:
        raise MigrationFault(f"{path.name} cannot be read: {reason(error)}", "Put a text file in its place") from error
    except UnicodeDecodeError as error:
        raise MigrationFault(f"{path.name} cannot be read as text", "Save it as UTF-8") from error


def _reject_name_clashes(files: Sequence[Migration]) -> None:
    """`if not exists` would hide a name that is in use, `if exists` a misspelt one."""
    created: dict[str, str] = {}
    for migration in files:
        verb, name = migration.shape.verb, migration.shape.name
        if verb == "create" and name in created and not migration.shape.replaces:
            raise MigrationFault(f"{migration.name} creates {name}, as {created[name]} does", "Use another name")
        if verb != "create" and name not in created:
            raise MigrationFault(f"{migration.name} would {verb} {name}, which no earlier migration creates")
        if verb == "create":
            created[name] = migration.name
        elif verb == "drop":
            del created[name]


def _reject_gaps(files: Sequence[Migration]) -> None:
    for expected, migration in enumerate(files, start=1):
        if migration.version > expected:
            raise MigrationFault(
                f"{migration.name} exists, but no file has the number {expected:04}",
                "Restore the missing file with `git checkout`; if there never was one, renumber the new file",
            )
        if migration.version < expected:
            raise MigrationFault(
                f"{files[expected - 2].name} and {migration.name} have the same number",
                "Give the one that is not applied yet the next free number",
            )
