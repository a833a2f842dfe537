"""Rows as a Parquet file, written by the engine from its own types."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.results import Column
from alsobought.storage.sql_text import quoted_identifier


def to_parquet(warehouse: ClickHouseWarehouse, meta: Sequence[Column], data: Sequence[Sequence[Any]]) -> bytes:
    """The file of these rows. Raises TooSlow, WarehouseFault.

    Names are quoted: they are part of a structure in which the engine would evaluate `default file(…)`.
    """
    names = [column.name for column in meta]
    lines = b"".join(msgspec.json.encode(dict(zip(names, row, strict=True))) + b"\n" for row in data)
    structure = ", ".join(f"{quoted_identifier(column.name)} {_nullable(column.type)}" for column in meta)
    sql = "select * from format(JSONEachRow, {structure:String}, {lines:String})"
    sql += " settings date_time_input_format = 'best_effort'"
    return warehouse.raw_with_table_functions(sql, {"structure": structure, "lines": lines.decode()}, "Parquet")


def _nullable(name: str) -> str:
    """The nullable type where the engine has one: a fallback may leave a column out.

    >>> _nullable("UInt8"), _nullable("Map(String, UInt8)")
    ('Nullable(UInt8)', 'Map(String, UInt8)')
    """
    return name if re.match(r"Array|Map|Tuple|Nullable|Variant|Dynamic|JSON", name) else f"Nullable({name})"
