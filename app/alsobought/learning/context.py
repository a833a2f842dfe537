"""The environment of a learner: queries from sql/learn/, the clock, a progress bar, and tables to replace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alsobought.errors import PipeFault, Unusable
from alsobought.learning.row_binary import NUMPY_TYPES, decode_columns
from alsobought.learning.table_swap import Exchange, Replacement, exchange_tables
from alsobought.pipes.check import check_query
from alsobought.pipes.sandbox import Templates, environment
from alsobought.pipes.source_map import extract_source_map, reject_marks
from alsobought.pipes.text_files import read_text
from alsobought.storage.warehouse import Warehouse

if TYPE_CHECKING:
    import numpy as np

Bar = Callable[[str, int, str], AbstractContextManager[Callable[[int], object]]]
"""Takes title, total and unit of a step; yields the function that advances the bar."""


@dataclass(frozen=True)
class Context:
    """`home` contains sql/learn/; events after `now` are ignored. `exchange` swaps a table; by default, this process does."""

    warehouse: Warehouse
    home: Path
    now: datetime
    bar: Bar
    exchange: Exchange | None = None
    attribution_days: int = 7

    def columns(self, name: str, **values: Any) -> dict[str, np.ndarray]:
        """The result of sql/learn/<name>.sql by column, for queries with numbers only. Parameters are bound.

        Raises Unusable for a column that is not numeric.
        """
        data = self.warehouse.trusted_raw(self._sql(name), values, "RowBinaryWithNamesAndTypes")
        try:
            return decode_columns(data)
        except ValueError as error:
            raise Unusable(f"sql/learn/{name}.sql: {error}", f"Columns are {', '.join(NUMPY_TYPES)}") from error

    def rows(self, name: str, **values: Any) -> list[list[Any]]:
        """The result as rows of any types, for small results."""
        return self.warehouse.trusted_rows(self._sql(name), values).data

    def rows_of(self, table: str, name: str, *, exact: bool = False, **values: Any) -> list[list[Any]]:
        """The result of a query that reads this table, such as a replacement."""
        return self.warehouse.trusted_rows(self._sql(name, table=table, exact=exact), values).data

    @contextmanager
    def replacement(self, table: str) -> Iterator[Replacement]:
        """An empty table with the same columns. It replaces the table at the end, and is dropped after an exception."""
        replacement = Replacement.create(self.warehouse, table)
        try:
            yield replacement
            (self.exchange or self._exchange)(table, replacement.name)
        finally:
            replacement.drop()

    def _exchange(self, table: str, replacement: str) -> None:
        exchange_tables(self.warehouse, table, replacement)

    def _sql(self, name: str, **variables: Any) -> str:
        """Renders a file of sql/learn/ with the macros and CSV files of pipes; `of` is the database and its dot."""
        text = read_text(self.home / "sql" / "learn" / f"{name}.sql")
        self._templates.work = 0
        template = self._templates.from_string(reject_marks(text))
        database = self.warehouse.database
        sql, source_map = extract_source_map(template.render(database=database, of=f"{database}.", **variables))
        schema = self.warehouse.schema()
        other_database, _, replacement = str(variables.get("table", "")).rpartition(".")
        schema[replacement] = schema.get(replacement.rpartition("__")[0], {})
        try:  # the query runs with the rights of the writer
            check_query(sql, schema, source_map, {database, other_database} - {""})
        except PipeFault as fault:
            raise Unusable(f"sql/learn/{name}.sql, line {fault.line}: {fault.message}", fault.hint) from fault
        return sql

    @cached_property
    def _templates(self) -> Templates:
        return environment(self.home / "sql" / "macros")
