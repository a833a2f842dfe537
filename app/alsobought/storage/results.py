"""Query results: columns with their types, rows as lists, and the statistics of the engine."""

from __future__ import annotations

import re
from typing import Any

import msgspec


class Column(msgspec.Struct, frozen=True):
    name: str
    type: str


class Statistics(msgspec.Struct, frozen=True):
    elapsed: float
    rows_read: int
    bytes_read: int

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.elapsed + other.elapsed, self.rows_read + other.rows_read, self.bytes_read + other.bytes_read
        )


class Rows(msgspec.Struct, frozen=True):
    """A result: columns with their types, and rows as lists in that order."""

    meta: list[Column]
    data: list[list[Any]]
    statistics: Statistics

    def dicts(self) -> list[dict[str, Any]]:
        names = [column.name for column in self.meta]
        return [dict(zip(names, row, strict=True)) for row in self.data]


decode_rows = msgspec.json.Decoder(Rows).decode


def plain_type(name: str) -> str:
    """The type of the values, without how a table merges or stores them.

    >>> plain_type("SimpleAggregateFunction(max, DateTime64(3, 'UTC'))")
    "DateTime64(3, 'UTC')"
    >>> plain_type("Array(LowCardinality(Nullable(String)))")
    'Array(Nullable(String))'
    """
    aggregate = re.fullmatch(r"SimpleAggregateFunction\(\w+, (.+)\)", name)
    plain = aggregate[1] if aggregate else name
    return re.sub(r"LowCardinality\((Nullable\([^()]+(?:\(\d+\))?\)|[^()]+(?:\(\d+\))?)\)", r"\1", plain)
