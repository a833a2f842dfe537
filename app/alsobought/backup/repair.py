"""Put damaged parts back from a backup, where the table cannot be made from the events.

A part that was merged since the backup is replaced by those it was merged from, as long as they have all its blocks. Rows that
were changed since then (a user was forgotten or merged, an order refunded) are in no older part: then the part is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from alsobought.backup.manifest import Manifest, StoredFile
from alsobought.backup.restore import fetch
from alsobought.backup.store import Store
from alsobought.errors import AlsoboughtError, Unusable
from alsobought.failpoints import reach
from alsobought.settings import Settings
from alsobought.storage import mutation_journal
from alsobought.storage.folder_lock import folder_of
from alsobought.storage.part_checks import ROCKSDB, SET_ASIDE, BrokenPart
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.writer import Writer

DATABASE = "repair"
PART = re.compile(r"(?P<partition>.+?)_(?P<first>\d+)_(?P<last>\d+)_\d+(?:_(?P<change>\d+))?")


class Blocks(NamedTuple):
    """The blocks of a part, from its name, and the number of the last change of its rows."""

    partition: str
    first: int
    last: int
    change: int

    @classmethod
    def of(cls, part: str) -> Blocks:
        """The blocks of a part.

        >>> Blocks.of("all_3_17_2_31")
        Blocks(partition='all', first=3, last=17, change=31)
        """
        match = PART.fullmatch(part)
        if not match:
            raise Unusable(f"{part!r} is not the name of a part")
        return cls(match["partition"], int(match["first"]), int(match["last"]), int(match["change"] or 0))


@dataclass(frozen=True)
class Replacement:
    """The parts of a backup that have the rows of a damaged part."""

    broken: BrokenPart
    manifest: Manifest
    files: dict[str, list[StoredFile]]


def covering(broken: str, parts: Iterable[str]) -> list[str]:
    """Those of these parts that the damaged one was merged from, or itself; empty if its rows were changed since.

    >>> covering("all_1_9_2", ["all_1_4_1", "all_5_9_1", "all_10_10_0"])
    ['all_1_4_1', 'all_5_9_1']
    >>> covering("all_1_9_2_8", ["all_1_4_1_8", "all_9_9_0"]), covering("all_1_9_2_8", ["all_1_9_2"])
    (['all_1_4_1_8', 'all_9_9_0'], [])
    """
    wanted = Blocks.of(broken)
    inside = sorted(
        (blocks, part)
        for part in parts
        if (blocks := Blocks.of(part)).partition == wanted.partition
        and wanted.first <= blocks.first
        and blocks.last <= wanted.last
    )
    # A change has a number among the blocks; those that were inserted later do not need it.
    as_they_were = all(blocks.change <= wanted.change <= (blocks.change or blocks.first) for blocks, _ in inside)
    apart = all(one.last < other.first for (one, _), (other, _) in pairwise(inside))
    return [part for _, part in inside] if as_they_were and apart else []


def find_replacement(broken: BrokenPart, table_folder: str, manifests: Sequence[Manifest]) -> Replacement | None:
    """From the newest of these backups that has the rows; `table_folder` is that of the table, below the data folder."""
    for manifest in reversed(manifests):
        files: dict[str, list[StoredFile]] = {}
        for file in manifest.files:
            if file.path.startswith(f"{table_folder}/"):
                part, _, rest = file.path.removeprefix(f"{table_folder}/").partition("/")
                if rest and PART.fullmatch(part):
                    files.setdefault(part, []).append(file)
        if parts := covering(broken.part, files):
            return Replacement(broken, manifest, {part: files[part] for part in parts})
    return None


def put_back(
    settings: Settings, warehouse: Warehouse, do: Callable[..., Any], store: Store, replacement: Replacement
) -> int:
    """Replaces a damaged part and returns the number of its rows. Raises Unusable if the backup's part is damaged too."""
    folder, broken = folder_of(settings.warehouse_dsn), replacement.broken
    if folder is None:
        raise Unusable("only an embedded warehouse is repaired from backups")
    with _scratch(warehouse, broken.table) as scratch:
        target = Path(_data_path(warehouse, f"{warehouse.database}_{DATABASE}", broken.table)) / "detached"
        prefix = next(iter(replacement.files.values()))[0].path.partition(f"/{next(iter(replacement.files))}/")[0]
        for part, files in replacement.files.items():
            for file in files:
                fetch(store, file, target / file.path.removeprefix(f"{prefix}/"), lambda _: None)
            warehouse.command(f"alter table {scratch} attach part {quoted(part)}")
        reach("repair.fetched")
        return int(do("put back a part", msgspec.to_builtins(broken)))


def exchange_part(writer: Writer, fields: dict[str, Any]) -> int:
    """Adds the rows of the scratch table and drops the damaged part, last. On the writer's thread.

    So after a kill in between, the part is still known as damaged, and the next run drops what this one added.
    """
    broken, warehouse = msgspec.convert(fields, BrokenPart), writer.warehouse
    table, scratch = f"{warehouse.database}.{broken.table}", f"{warehouse.database}_{DATABASE}.{broken.table}"
    rows = int(warehouse.trusted_rows(f"select count() from {scratch}").data[0][0])
    if not broken.set_aside:
        _require_rows(warehouse, broken, rows)
    for part in _copies(warehouse, table, scratch, broken):
        warehouse.command(f"alter table {table} drop part {quoted(part)}")
    warehouse.command(f"alter table {table} attach partition tuple() from {scratch}")
    reach("repair.attached")
    if broken.set_aside:
        name = quoted(SET_ASIDE + broken.part)
        warehouse.command(f"alter table {table} drop detached part {name} settings allow_drop_detached = 1")
    else:
        warehouse.command(f"alter table {table} drop part {quoted(broken.part)}")
    last = int(warehouse.trusted_rows(f"select max(batch) from {warehouse.database}.events").data[0][0])
    mutation_journal.record_done(warehouse, writer.take_seq(), "repair", {}, last)
    writer.catalogue.reload()
    writer.on_rewritten()
    return rows


def table_folder(settings: Settings, warehouse: Warehouse, table: str) -> str:
    """The folder of a table, below the data folder."""
    folder = folder_of(settings.warehouse_dsn)
    path = Path(_data_path(warehouse, warehouse.database, table))
    return path.relative_to(folder.resolve()).as_posix() if folder else ""


def _require_rows(warehouse: Warehouse, broken: BrokenPart, rows: int) -> None:
    sql = (
        "select sum(rows) from system.parts where database = {database:String} and table = {table:String}"
        " and name = {part:String} and active"
    )
    parameters = {"database": warehouse.database, "table": broken.table, "part": broken.part}
    expected = int(warehouse.trusted_rows(sql, parameters).data[0][0])
    if expected != rows:
        raise Unusable(
            f"the backup has {rows:,} of the {expected:,} rows of {broken.where}",
            "The table was changed meanwhile: run the command again",
        )


def _copies(warehouse: Warehouse, table: str, scratch: str, broken: BrokenPart) -> list[str]:
    """Parts of `events` with nothing but rows of the scratch table. In other tables, equal rows replace each other.

    A killed run added them, or the engine took an older version of a part that it could not load. Raises Unusable for a part
    that also has other rows: it was merged since then.
    """
    if broken.table != "events":
        return []
    damaged = "" if broken.set_aside else broken.part
    sql = (
        f"select _part, countIf(seq in (select seq from {scratch})) as copied, count() from {table}"
        f" where _part != {quoted(damaged)} group by _part having copied > 0"
    )
    parts = warehouse.trusted_rows(sql).data
    if any(int(copied) != int(rows) for _, copied, rows in parts):
        raise Unusable(
            f"an older version of {broken.where} was merged with other parts", "Restore the newest backup whole"
        )
    return [part for part, _, _ in parts]


@contextmanager
def _scratch(warehouse: Warehouse, table: str) -> Iterator[str]:
    """An empty table with the same columns, in a database of its own; dropped afterwards."""
    database = f"{warehouse.database}_{DATABASE}"
    warehouse.command(f"drop database if exists {database} sync")
    warehouse.command(f"create database {database}")
    try:
        warehouse.command(f"create table {database}.{table} as {warehouse.database}.{table}")
        yield f"{database}.{table}"
    finally:
        with suppress(AlsoboughtError):
            warehouse.command(f"drop database if exists {database} sync")


def _data_path(warehouse: Warehouse, database: str, table: str) -> str:
    sql = "select data_paths[1] from system.tables where database = {database:String} and name = {table:String}"
    return str(warehouse.trusted_rows(sql, {"database": database, "table": table}).data[0][0])


def empty_serving_tables(folder: Path, database: str) -> list[str]:
    """Empties the serving tables of a folder that the engine does not open, and returns their names.

    An EmbeddedRocksDB that is damaged keeps the whole database closed. Its rows are made again from the count tables.
    """
    statements, names = folder / "metadata" / database, []
    for statement in sorted(statements.glob("*.sql")):
        if f"ENGINE = {ROCKSDB}" in statement.read_text():
            names.append(statement.stem)
            for file in (folder / "data" / database / statement.stem).iterdir():
                file.unlink()
    return names
