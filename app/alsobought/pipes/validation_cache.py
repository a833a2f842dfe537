"""SQL in which nothing was found is not tried again: not by this process nor, where there is a file, by the next one, until the
schema, the engine or the checks themselves change. The file has a hash of each text, its columns and the tables it reads.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from alsobought.pipes.scopes import Schema

log = logging.getLogger(__name__)

Described = list[tuple[str, str]]
"""Columns of an answer: name and ClickHouse type."""
MAX_BYTES = 8_000_000  # of the file: a larger one is begun anew


class Found(msgspec.Struct, frozen=True, array_like=True):
    """Where nothing was wrong: the columns of an answer, and the tables it reads."""

    key: str
    columns: Described
    tables: list[str]


class Tried:
    """What was tried and had no finding; without a file only as long as this lives."""

    def __init__(self, path: Path | None = None, engine: Callable[[], str] = lambda: "") -> None:
        self.path, self.engine = path, engine

    @cached_property
    def _known(self) -> dict[str, Found]:
        return {} if self.path is None else _read(self.path)

    def key(self, sql: str, values: Mapping[str, Any], schema: str) -> str:
        """Of this text, asked with these values, on a schema as `of_schema` names it."""
        return _hash((_checks(), self.engine(), schema, sql, sorted(values.items())))

    def get(self, key: str) -> Found | None:
        return self._known.get(key)

    def add(self, found: Found) -> None:
        """A file that cannot be written is no trouble: the next process tries again."""
        if found.key in self._known:
            return
        self._known[found.key] = found
        if self.path:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("ab") as file:
                    file.write(b"\n" + msgspec.json.encode(found))  # begun anew after a line that was cut off
            except OSError as error:
                log.debug("%s cannot be written", self.path, exc_info=error)


def of_schema(schema: Schema) -> str:
    return _hash(sorted((table, list(columns.items())) for table, columns in schema.items()))


def validation_cache_file() -> Path | None:
    """In the folder for what may be lost: XDG_CACHE_HOME, else ~/.cache. None for a user without a home."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return folder / "alsobought" / "tried.ndjson"


@cache
def _read(path: Path) -> dict[str, Found]:
    """One for all of a process. A line that cannot be read is left out."""
    known: dict[str, Found] = {}
    try:
        if path.stat().st_size > MAX_BYTES:
            path.unlink()
        lines = path.read_bytes().splitlines()
    except OSError:
        return known
    for line in lines:
        try:
            found = msgspec.json.decode(line, type=Found)
        except msgspec.DecodeError:
            continue
        known[found.key] = found
    return known


@cache
def _checks() -> str:
    """What stands for the checks: our own code, and the libraries that read the texts."""
    ours = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return _hash((ours, version("sqlglot"), version("jinja2")))


def _hash(value: object) -> str:
    return blake2b(repr(value).encode(), digest_size=16).hexdigest()
