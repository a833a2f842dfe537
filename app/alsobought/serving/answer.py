"""An answer: columns and rows, their JSON, and a digest of the content."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar

import msgspec

from alsobought.pipes.library import Pipe
from alsobought.storage.results import Column, Statistics

T = TypeVar("T")
MAX_SAFE_INTEGER = 2**53
WIDE_TYPE = re.compile(r"Int(64|128|256)|JSON|Dynamic")  # types that can contain a larger integer at any depth


class CacheKey(NamedTuple):
    """What an answer in the cache depends on: name and version of its pipe and of each fallback, and the values."""

    versions: tuple[tuple[str, str], ...]
    values: str

    def __str__(self) -> str:
        return self.versions[0][0]


@dataclass(frozen=True)
class Answer:
    """The result of a pipe: its columns, and its rows as lists in column order.

    `fallback` is the first pipe that filled a list in which `pipe` itself had no rows, else None;
    the column `source` names the pipe of each row. `cached` marks an answer from the cache, whose
    `statistics` and `as_of` are those of the original run: the ingest time of the newest event before
    it began. `pipes` are all pipes that were queried, including those that returned no rows. `key` is
    that of the cache, if it may be there. `next` is the cursor of the next page, if there may be one. `drafted_by` is the origin of
    each row of an interleaved list, which is recorded and not shown: `team/pipe`, or the pipe alone for a row of no team.
    """

    pipe: Pipe
    fallback: str | None
    meta: list[Column]
    data: list[list[Any]]
    statistics: Statistics
    cached: bool = False
    as_of: datetime | None = None
    pipes: tuple[Pipe, ...] = ()
    key: CacheKey | None = None
    next: str | None = None
    drafted_by: tuple[str, ...] = ()
    _computed: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)  # shared with copies

    @cached_property
    def digest(self) -> str:
        """A hash of the content: pipe, version of its text, fallback, columns, rows, and whether there are more.

        Statistics do not count.
        """
        content = (self.pipe.name, self.pipe.version, self.fallback, self.meta, self.data, self.next)
        return blake2b(msgspec.json.encode(content), digest_size=12).hexdigest()

    @property
    def members(self) -> dict[str, Any]:
        """The members of the JSON body, without the request_id."""
        return {
            "meta": self.meta,
            "data": self.dicts(),
            "rows": len(self.data),
            "next": self.next,
            "statistics": self.statistics,
            "pipe": {"name": self.pipe.name, "version": self.pipe.version, "fallback": self.fallback},
            "as_of": format_time(self.as_of),
        }

    @property
    def json(self) -> bytes:
        """The members as JSON."""
        return self.once("json", lambda: msgspec.json.encode(self.members))

    def once(self, name: str, compute: Callable[[], T]) -> T:
        """What is made of the content, computed once for an answer and its copies in the cache."""
        if name not in self._computed:
            self._computed[name] = compute()
        result: T = self._computed[name]
        return result

    def dicts(self) -> list[dict[str, Any]]:
        """The rows for JSON.

        Integers beyond 2^53 become strings, since JavaScript would round them.
        """
        names = [column.name for column in self.meta]
        wide = {column.name for column in self.meta if WIDE_TYPE.search(column.type)}
        rows = [dict(zip(names, row, strict=True)) for row in self.data]
        for row in rows if wide else ():
            row.update((name, _safe(row[name])) for name in wide)
        return rows


def format_time(time: datetime | None) -> str | None:
    """As JSON has it, to the millisecond."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z") if time else None


def _safe(value: Any) -> Any:
    if isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER:
        return str(value)
    if isinstance(value, list):
        return [_safe(element) for element in value]
    return {key: _safe(element) for key, element in value.items()} if isinstance(value, dict) else value
