"""Remember SQL that passed validation, also across processes, so that it is not validated again.

The key covers the SQL, the tables it names, the engine's version and the validation code. Results with
warnings are not cached: the warnings must be reported each time.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from alsobought.pipes.scopes import Schema

log = logging.getLogger(__name__)

AnswerColumns = list[tuple[str, str]]
"""Columns of an answer: name and ClickHouse type."""
MAX_BYTES = 8_000_000  # a larger file is deleted
WORD = re.compile(r"\w+")


class ValidSql(msgspec.Struct, frozen=True, array_like=True):
    """A text without faults and warnings: the columns of its answer and the tables it reads."""

    key: str
    columns: AnswerColumns
    tables: list[str]


class CacheFile:
    """A file to which several processes append: `read` takes in what others have added."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: dict[str, ValidSql] = {}
        self._read_to = 0
        with suppress(OSError):
            if path.stat().st_size > MAX_BYTES:
                path.unlink()

    def read(self) -> None:
        """Lines that cannot be decoded are skipped."""
        begin = self._read_to
        try:
            if self.path.stat().st_size <= begin:
                return
            with self.path.open("rb") as file:
                file.seek(begin)
                added = file.read()
        except OSError:
            return
        self._read_to = begin + len(added)
        for line in added.splitlines():
            with suppress(msgspec.DecodeError):
                valid = msgspec.json.decode(line, type=ValidSql)
                self.entries[valid.key] = valid

    def append(self, valid: ValidSql) -> None:
        """A file that cannot be written is ignored: the next process validates again."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                file.write(b"\n" + msgspec.json.encode(valid))  # the last line may be truncated
        except OSError as error:
            log.debug("%s cannot be written", self.path, exc_info=error)


class ValidationCache:
    """Texts that passed validation, by key; in memory only if there is no file."""

    def __init__(self, path: Path | None = None, engine: Callable[[], str] = lambda: "") -> None:
        self.engine = engine
        self._file = cache_file(path) if path else None
        self._entries = self._file.entries if self._file else {}

    def key(self, sql: str, values: Mapping[str, Any], schema: Schema) -> str:
        """The key of a text with these sample values. A table that it does not name may change."""
        words = set(WORD.findall(sql))
        named = sorted(table for table in schema if table in words or not WORD.fullmatch(table))
        tables = [(table, list(schema[table].items())) for table in named]
        return _hash((_code_hash(), self.engine(), tables, sql, sorted(values.items())))

    def get(self, key: str) -> ValidSql | None:
        if self._file and key not in self._entries:
            self._file.read()
        return self._entries.get(key)

    def add(self, valid: ValidSql) -> None:
        if valid.key not in self._entries:
            self._entries[valid.key] = valid
            if self._file:
                self._file.append(valid)


@cache
def cache_file(path: Path) -> CacheFile:
    """One for all caches of a process."""
    return CacheFile(path)


def validation_cache_file() -> Path | None:
    """The file below XDG_CACHE_HOME or ~/.cache. None for a user without a home folder."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return folder / "alsobought" / "validated.ndjson"


@cache
def _code_hash() -> str:
    """A hash of the validation code: this package, and the versions of the parsers."""
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return _hash((sources, version("sqlglot"), version("jinja2")))


def _hash(value: object) -> str:
    return blake2b(repr(value).encode(), digest_size=16).hexdigest()
