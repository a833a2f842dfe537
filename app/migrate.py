"""migrations/ → the database: numbered files of one statement and a reason, each done or not done, forward only.

The journal is the table `migrations`. An applied file that was edited afterwards is an error: the database would not know.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
import msgspec

from app.errors import MigrationFault
from app.warehouse import Warehouse

JOURNAL = """create table if not exists {database}.migrations (
    version UInt32, name String, checksum String, applied_at DateTime64(3, 'UTC') default now64(3)
) engine = MergeTree order by version"""


@dataclass(frozen=True)
class Migration:
    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def statement(self, database: str) -> str:
        """The SQL as it runs: names, engine and window filled in."""
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)  # noqa: S701
        try:
            return environment.from_string(self.text).render(
                database=database, engine=engine, window="non_replicated_deduplication_window = 1000"
            )
        except jinja2.TemplateError as error:
            raise MigrationFault(f"{self.name} does not render: {error}") from error


def engine(name: str, arguments: str = "") -> str:
    """The engine clause of one node.

    >>> engine("SummingMergeTree", "(baskets, weight)")
    'SummingMergeTree((baskets, weight))'
    """
    return f"{name}({arguments})"


@dataclass(frozen=True)
class Step:
    """A migration and where it stands: `applied`, `pending` or `edited`."""

    migration: Migration
    state: str


def migrations(folder: Path) -> list[Migration]:
    """All files, in order.

    Raises MigrationFault for a name that is not NNNN_name.sql, a gap, or a number used twice.
    """
    found = []
    for path in sorted(folder.glob("*.sql")):
        if not (match := re.fullmatch(r"(\d{4})_[a-z0-9_]+", path.stem)):
            raise MigrationFault(f"{path.name} is not named like 0001_events.sql")
        found.append(Migration(int(match[1]), path.stem, path.read_text()))
    if not found:
        raise MigrationFault(f"there are no migrations in {folder}", "Set ALSOBOUGHT_HOME to the project's folder")
    for expected, migration in enumerate(found, start=1):
        if migration.version != expected:
            raise MigrationFault(f"{migration.name} should have the number {expected:04}", "Numbers follow one another")
    return found


def status(warehouse: Warehouse, folder: Path) -> list[Step]:
    """Every file with its state; a database without a journal has applied none."""
    applied: dict[int, str] = {}
    if "migrations" in warehouse.tables():
        journal = f"select version, any(checksum) from {warehouse.database}.migrations group by version"
        applied = {row[0]: row[1] for row in warehouse.rows(journal).data}
    steps = []
    for migration in migrations(folder):
        checksum = applied.pop(migration.version, None)
        state = "pending" if checksum is None else "applied" if checksum == migration.checksum else "edited"
        steps.append(Step(migration, state))
    if applied:
        raise MigrationFault(
            f"the database has migration {max(applied):04}, and {folder} ends at {len(steps):04}", "Use the newer files"
        )
    return steps


def up(warehouse: Warehouse, folder: Path) -> Iterator[Migration]:
    """Applies what is pending, yielding each migration once it is done.

    Raises MigrationFault at the first that fails; those before it stay applied.
    """
    steps = status(warehouse, folder)
    for step in steps:
        if step.state == "edited":
            raise MigrationFault(
                f"{step.migration.name} was edited after it was applied",
                "Put it back, and write a new migration instead",
            )
    warehouse.command(JOURNAL.format(database=warehouse.database))
    for step in steps:
        if step.state == "pending":
            _apply(warehouse, step.migration)
            yield step.migration


def _apply(warehouse: Warehouse, migration: Migration) -> None:
    sql = migration.statement(warehouse.database)
    # A run killed between a statement and its line in the journal left the object behind: the statement is then repeatable.
    repeatable = re.sub(
        r"^create (table|materialized view|dictionary) (?!if not exists)", r"create \1 if not exists ", sql, flags=re.M
    )
    try:
        warehouse.command(repeatable)
    except Exception as error:
        raise MigrationFault(f"{migration.name} failed: {error}") from error
    row = {"version": migration.version, "name": migration.name, "checksum": migration.checksum}
    warehouse.insert("migrations", msgspec.json.encode(row), columns=("version", "name", "checksum"))
