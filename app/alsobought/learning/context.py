"""What a learner works with: the warehouse by SQL files as columns of numbers, the clock, a bar, and tables to replace."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alsobought.errors import PipeFault, Unusable
from alsobought.learning.table_swap import Exchange, Replacement, exchange
from alsobought.pipes.check import check_query
from alsobought.pipes.source_map import unmarked, without_marks
from alsobought.pipes.template import Templates, environment, read_text
from alsobought.storage.warehouse import Warehouse

if TYPE_CHECKING:
    import numpy as np

Bar = Callable[[str, int, str], AbstractContextManager[Callable[[int], object]]]
"""Title, total and unit of a step; gives the function that is told how many more are done."""
NUMBERS = {
    "UInt8": "u1",
    "Bool": "u1",
    "UInt16": "<u2",
    "Date": "<u2",
    "UInt32": "<u4",
    "DateTime": "<u4",
    "UInt64": "<u8",
    "Int8": "i1",
    "Int16": "<i2",
    "Int32": "<i4",
    "Int64": "<i8",
    "Float32": "<f4",
    "Float64": "<f8",
}
"""Types of the engine as numpy has them. A Date is days since 1970, a DateTime seconds."""


@dataclass(frozen=True)
class Context:
    """`home` holds sql/learn/; `now` is the time up to which events count as known. `exchange` puts a table in its place."""

    warehouse: Warehouse
    home: Path
    now: datetime
    bar: Bar
    exchange: Exchange | None = None

    def columns(self, name: str, **values: Any) -> dict[str, np.ndarray]:
        """What sql/learn/<name>.sql answers, by column. The file's columns are numbers; its parameters are bound.

        Raises Unusable for a column that holds no numbers.
        """
        import numpy as np

        answer = self.warehouse.trusted_raw(self._sql(name), values, "RowBinaryWithNamesAndTypes")
        names, kinds, begin = _head(answer)
        for column, kind in zip(names, kinds, strict=True):
            if kind not in NUMBERS:
                raise Unusable(f"sql/learn/{name}.sql: {column} is {kind}", f"Columns are {', '.join(NUMBERS)}")
        row = np.dtype([(column, NUMBERS[kind]) for column, kind in zip(names, kinds, strict=True)])
        table = np.frombuffer(answer, row, offset=begin)
        return {column: np.ascontiguousarray(table[column]) for column in names}

    def rows(self, name: str, **values: Any) -> list[list[Any]]:
        """The same as rows of whatever types, for few."""
        return self.warehouse.trusted_rows(self._sql(name), values).data

    def of_table(self, table: str, name: str, *, exact: bool = False, **values: Any) -> list[list[Any]]:
        """What sql/learn/<name>.sql answers of a table that is being made."""
        return self.warehouse.trusted_rows(self._sql(name, table=table, exact=exact), values).data

    @contextmanager
    def replacement(self, table: str) -> Iterator[Replacement]:
        """A table of the same columns, empty; it takes the place of that one when all went well, and is gone if not."""
        made = Replacement.make(self.warehouse, table)
        try:
            yield made
            (self.exchange or self._exchange)(table, made.name)
        finally:
            made.drop()

    def _exchange(self, table: str, made: str) -> None:
        exchange(self.warehouse, table, made)

    def _sql(self, name: str, **given: Any) -> str:
        """A file of sql/learn/ with what the macros of pipes, and their CSV files, make of it; `of` is the database and its dot."""
        text = read_text(self.home / "sql" / "learn" / f"{name}.sql")
        self._templates.work = 0
        made = self._templates.from_string(without_marks(text))
        database = self.warehouse.database
        sql, places = unmarked(made.render(database=database, of=f"{database}.", **given))
        schema = self.warehouse.schema()
        elsewhere, _, replacement = str(given.get("table", "")).rpartition(".")
        schema[replacement] = schema.get(replacement.rpartition("__")[0], {})
        try:  # it runs with the rights of the writer
            check_query(sql, schema, places, {database, elsewhere} - {""})
        except PipeFault as fault:
            raise Unusable(f"sql/learn/{name}.sql, line {fault.line}: {fault.message}", fault.hint) from fault
        return sql

    @cached_property
    def _templates(self) -> Templates:
        return environment(self.home / "sql" / "macros")


def _head(answer: bytes) -> tuple[list[str], list[str], int]:
    """Names and types of the columns of RowBinaryWithNamesAndTypes, and where the rows begin."""
    stream = io.BytesIO(answer)
    width = _number(stream)
    texts = [stream.read(_number(stream)).decode() for _ in range(2 * width)]
    return texts[:width], texts[width:], stream.tell()


def _number(stream: io.BytesIO) -> int:
    """A LEB128 number.

    >>> _number(io.BytesIO(bytes([0xE5, 0x8E, 0x26])))
    624485
    """
    value = shift = 0
    while True:
        (byte,) = stream.read(1)
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value
