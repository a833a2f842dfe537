"""Remember SQL that passed validation, also across processes, so that it is not validated again.

The key covers the SQL, the tables it names, the engine's version and the validation code. Results with
warnings are not cached: the warnings must be reported each time.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from functools import cache, cached_property
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


class ValidationCache:
    """Texts that passed validation, by key; in memory only if there is no file."""

    def __init__(self, path: Path | None = None, engine: Callable[[], str] = lambda: "") -> None:
        self.path, self.engine = path, engine

    @cached_property
    def _entries(self) -> dict[str, ValidSql]:
        return {} if self.path is None else _read(self.path)

    def key(self, sql: str, values: Mapping[str, Any], schema: Schema) -> str:
        """The key of a text with these sample values. A table that it does not name may change."""
        words = set(WORD.findall(sql))
        named = sorted(table for table in schema if table in words or not WORD.fullmatch(table))
        tables = [(table, list(schema[table].items())) for table in named]
        return _hash((_code_hash(), self.engine(), tables, sql, sorted(values.items())))

    def get(self, key: str) -> ValidSql | None:
        return self._entries.get(key)

    def add(self, valid: ValidSql) -> None:
        """A file that cannot be written is ignored: the next process validates again."""
        if valid.key in self._entries:
            return
        self._entries[valid.key] = valid
        if self.path:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                with self.path.open("ab") as file:
                    file.write(b"\n" + msgspec.json.encode(valid))  # the last line may be truncated
            except OSError as error:
                log.debug("%s cannot be written", self.path, exc_info=error)


def validation_cache_file() -> Path | None:
    """The file below XDG_CACHE_HOME or ~/.cache. None for a user without a home folder."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None
    return folder / "alsobought" / "validated.ndjson"


@cache
def _read(path: Path) -> dict[str, ValidSql]:
    """The entries of a file, shared within the process. Lines that cannot be decoded are skipped."""
    entries: dict[str, ValidSql] = {}
    try:
        if path.stat().st_size > MAX_BYTES:
            path.unlink()
        lines = path.read_bytes().splitlines()
    except OSError:
        return entries
    for line in lines:
        try:
            valid = msgspec.json.decode(line, type=ValidSql)
        except msgspec.DecodeError:
            continue
        entries[valid.key] = valid
    return entries


@cache
def _code_hash() -> str:
    """A hash of the validation code: this package, and the versions of the parsers."""
    sources = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return _hash((sources, version("sqlglot"), version("jinja2")))


def _hash(value: object) -> str:
    return blake2b(repr(value).encode(), digest_size=16).hexdigest()
