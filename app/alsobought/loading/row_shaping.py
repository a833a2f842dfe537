"""Shape the rows of a file before they are converted: fill down, leave out, one row for each element. Pure.

All three depend on the rows before, or change how many there are: a load that resumes shapes the file
again from its first row, and skips what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from alsobought.errors import Unusable
from alsobought.loading.cells import is_empty, to_object
from alsobought.loading.conditions import condition_of
from alsobought.loading.mapping import ColumnMapping
from alsobought.loading.nested import look_up
from alsobought.loading.readers import Malformed, Row
from alsobought.loading.rejected_row import RejectedRow

MAX_ELEMENTS = 1000  # of a row; its element 3 has the number 1000 * row + 3, whatever the rows before it have

Numbered = tuple[int, Row]


class RowShaper:
    """Shapes the rows of one file, from its first row on. `left_out` counts rows that a condition left out."""

    def __init__(self, columns: ColumnMapping) -> None:
        if "." in columns.each or "|" in columns.each:
            raise Unusable(
                f"--each: {columns.each!r} is not the name of a column", "Pass one that has a list, such as items"
            )
        self._columns = columns
        conditions = [condition_of(text) for text in columns.where]
        prefix = f"{columns.each}."
        self._of_elements = [one for one in conditions if columns.each and one.column.startswith(prefix)]
        self._of_rows = [one for one in conditions if one not in self._of_elements]
        self._above: dict[str, Any] = {}
        self._group: Any = None
        self.left_out = 0

    @property
    def is_needed(self) -> bool:
        return bool(self._columns.fill_down or self._columns.where or self._columns.each)

    def row_number(self, number: int) -> int:
        """The number of the row in the file."""
        return number // MAX_ELEMENTS if self._columns.each else number

    def first_number(self, number: int) -> int:
        """The number of the first element of the same row."""
        return number // MAX_ELEMENTS * MAX_ELEMENTS if self._columns.each else number

    def __call__(self, numbered: Iterable[Numbered]) -> Iterator[Numbered]:
        return self._shaped(numbered) if self.is_needed else iter(numbered)

    def _shaped(self, numbered: Iterable[Numbered]) -> Iterator[Numbered]:
        for number, row in numbered:
            values = _decoded(row)
            if values is None:
                self._above.clear()  # the row above is unknown
                yield number * (MAX_ELEMENTS if self._columns.each else 1), row
                continue
            is_filled = self._fill(values)
            if not all(condition.holds(values) for condition in self._of_rows):
                self.left_out += 1
            elif self._columns.each:
                yield from self._elements(number, values, is_json=isinstance(row, bytes))
            else:
                yield number, (msgspec.json.encode(values) if is_filled and isinstance(row, bytes) else row)

    def _fill(self, row: dict[str, Any]) -> bool:
        """Fill empty cells from the row above; True if there were any."""
        group = look_up(row, self._columns.fill_within) if self._columns.fill_within else None
        if not is_empty(group) and group != self._group:
            self._above, self._group = {}, group
        is_filled = False
        for column in self._columns.fill_down:
            if not is_empty(row.get(column)):
                self._above[column] = row[column]
            elif column in self._above:
                row[column] = self._above[column]
                is_filled = True
        return is_filled

    def _elements(self, number: int, row: dict[str, Any], *, is_json: bool) -> Iterator[Numbered]:
        name = self._columns.each
        try:
            value = to_object(row.get(name) or [])
        except RejectedRow:
            value = []
        elements = value if isinstance(value, list) else [value]
        if not 0 < len(elements) < MAX_ELEMENTS:
            problem = (
                f"{len(elements):,} elements; fewer than {MAX_ELEMENTS:,} are accepted" if elements else "no elements"
            )
            yield number * MAX_ELEMENTS, Malformed(f"{name}: {problem}", row)
        for index, element in enumerate(elements if len(elements) < MAX_ELEMENTS else ()):
            shaped = {**row, name: element}
            if all(condition.holds(shaped) for condition in self._of_elements):
                yield number * MAX_ELEMENTS + index, (msgspec.json.encode(shaped) if is_json else shaped)
            else:
                self.left_out += 1


def _decoded(row: Row) -> dict[str, Any] | None:
    """The values of a row that can be read, or None. Those of cells are the row itself."""
    if isinstance(row, bytes):
        try:
            value = msgspec.json.decode(row)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return value if isinstance(value, dict) else None
    return row if isinstance(row, dict) else None
