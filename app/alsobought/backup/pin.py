"""The writer's part of a backup: between two batches, every file of the warehouse gets a second name, by a hard link.

Parts never change once they are written, so the pinned names keep this moment while the writer goes on: no event is without
its counts. Files that do change are copied: they are small. The log of an EmbeddedRocksDB table only grows, so its size now is
enough to cut it off later.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from alsobought.backup.facts import facts_of
from alsobought.backup.manifest import Facts
from alsobought.errors import Unusable
from alsobought.failpoints import reach
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.append_log import FOLDER as APPEND_LOG
from alsobought.writer.recovery import CLEAN_SHUTDOWN, last_batch
from alsobought.writer.writer import Writer

PINNED = "pinned"  # in the folder of the warehouse
ATTEMPTS = 5
OF_PARTS = re.compile(r"format_version\.txt|mutation_\d+\.txt")  # beside the parts, never changed
WITHOUT_FILES = ("View", "MaterializedView", "Dictionary", "Null", "Memory")
CHANGING = re.compile(r"CURRENT|MANIFEST-\d+|OPTIONS-\d+|IDENTITY")  # of RocksDB; `LOCK` is made anew


class Pinned(msgspec.Struct, frozen=True, kw_only=True):
    """`folder` has the files. Of those in `sizes` only so many bytes belong to it. `folders` are empty, `links` have targets."""

    folder: str
    pause_seconds: float
    facts: Facts
    links: dict[str, str]
    folders: list[str]
    sizes: dict[str, int]


class _Changed(Exception):
    """A file went away or changed while it was pinned, because of a merge."""


def pin(writer: Writer) -> dict[str, Any]:
    """Pins the files of an embedded warehouse; returns the fields of `Pinned`. On the writer's thread, under its lease."""
    started, warehouse = time.monotonic(), writer.warehouse
    folder = warehouse.folder
    if folder is None:
        raise Unusable("only the folder of an embedded warehouse can be pinned", "Use BACKUP of the ClickHouse server")
    unpin(folder)
    for attempt in range(1, ATTEMPTS + 1):
        pinning = _Pinning(warehouse, folder.resolve(), folder.resolve() / PINNED / "files")
        try:
            pinning.all()
            break
        except (_Changed, FileNotFoundError) as error:
            unpin(folder)
            if attempt == ATTEMPTS:
                raise Unusable("the tables changed too often to be pinned", "Try again") from error
    pinned = Pinned(
        folder=str(pinning.target),
        pause_seconds=round(time.monotonic() - started, 4),
        facts=facts_of(warehouse, pinning.last_batch, writer.as_of),
        links=pinning.links,
        folders=pinning.folders,
        sizes=pinning.sizes,
    )
    fields: dict[str, Any] = msgspec.to_builtins(pinned)
    return fields


def unpin(folder: Path) -> None:
    """Deletes the second names, also those that a killed backup left."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder / PINNED)


class _Pinning:
    """One attempt. Paths in `links`, `folders` and `sizes` are those below the folder of the warehouse."""

    def __init__(self, warehouse: Warehouse, folder: Path, target: Path) -> None:
        self._warehouse, self._folder, self.target = warehouse, folder, target
        self.links: dict[str, str] = {}
        self.folders: list[str] = ["metadata_dropped"]
        self.sizes: dict[str, int] = {}
        self.last_batch = 0

    def all(self) -> None:
        """The parts first: they are what takes time."""
        self.target.mkdir(parents=True)
        database = {"database": self._warehouse.database}
        sql = "select path from system.parts where database = {database:String} and active order by path"
        for (path,) in self._warehouse.trusted_rows(sql, database).data:
            self._tree(Path(path))
        reach("backup.pinning")
        sql = "select engine, data_paths from system.tables where database = {database:String} order by name"
        for engine, paths in self._warehouse.trusted_rows(sql, database).data:
            if engine not in WITHOUT_FILES:
                for path in map(Path, paths):
                    self._table(engine, path)
        self._definitions()
        self._append_log()
        self.last_batch = last_batch(self._warehouse)
        (self.target / CLEAN_SHUTDOWN).write_text(str(self.last_batch))  # all views have every batch

    def _table(self, engine: str, path: Path) -> None:
        self.folders.append(path.relative_to(self._folder).as_posix())
        if engine.endswith("MergeTree"):
            for name in _names(path):
                if OF_PARTS.fullmatch(name):
                    self._link(path / name)
            for name in _names(path / "deduplication_logs"):
                self._copy(path / "deduplication_logs" / name)
            self.folders.append((path / "detached").relative_to(self._folder).as_posix())
        elif engine == "EmbeddedRocksDB":
            self._rocksdb(path)
        else:  # an engine of the shop's own migrations, which only the writer writes
            for file in _files(path):
                self._copy(file)

    def _rocksdb(self, path: Path) -> None:
        """A RocksDB compacts whenever it likes. If its manifest is the same before and after, so were its files."""
        before = _state(path)
        for name in _names(path):
            if CHANGING.fullmatch(name):
                self._copy(path / name)
            elif name.endswith(".log"):
                self._link(path / name)
                self.sizes[(path / name).relative_to(self._folder).as_posix()] = (path / name).stat().st_size
            elif name.endswith((".sst", ".blob")):
                self._link(path / name)
        if _state(path) != before:
            raise _Changed

    def _definitions(self) -> None:
        """The CREATE statements, and the links by which the engine finds the tables."""
        database = self._warehouse.database
        self._copy(self._folder / "metadata" / f"{database}.sql")
        statements = self._folder / "metadata" / database
        for link in (statements, *(self._folder / "data" / database).iterdir()):
            if link.is_symlink():
                self.links[link.relative_to(self._folder).as_posix()] = str(link.readlink())
        for file in _files(statements.resolve()):
            if file.suffix == ".sql":  # replaced, never changed
                self._link(file)

    def _append_log(self) -> None:
        """Posts that were answered and are not in `events` yet. The writer alone deletes them, and it is here."""
        for name in _names(self._folder / APPEND_LOG):
            self._copy(self._folder / APPEND_LOG / name)

    def _tree(self, folder: Path) -> None:
        for file in _files(folder):
            self._link(file)

    def _link(self, file: Path) -> None:
        target = self.target / file.relative_to(self._folder)
        try:
            os.link(file, target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(file, target)

    def _copy(self, file: Path) -> None:
        target = self.target / file.relative_to(self._folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def _files(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        for name in names:
            yield Path(where, name)


def _state(path: Path) -> list[tuple[str, int]]:
    return [
        (name, (path / name).stat().st_size)
        for name in _names(path)
        if name == "CURRENT" or name.startswith("MANIFEST")
    ]
