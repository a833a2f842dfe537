"""Read the CSV files that analysts tune, sql/NAME.csv, as SQL literals: `{% from 'signals.csv' import signals %}`.

The first line declares the columns, as the header of a pipe declares parameters:

    event_type String,weight Float64 (-100..100)
    view,1
    purchase,5

`signals("weight")` is the column as an array, [1, 5]; several columns, or none for all of them, are an
array of tuples. `signals("weight", event_type="view")` keeps the rows with this value, `event_type=true`
those with any value. In an `{% if … %}` it is true if a row remains. A column `category` has paths as the
catalogue writes them: `Kitchen > Tea` is Kitchen/Tea. Empty lines and lines that start
with # are ignored; an empty cell takes the default of its column.

The values become part of the SQL text, unlike those of requests. They are safe, since every value is
parsed by its type and printed as a quoted literal; nothing is printed as it is in the file. So a text that is
valid with some values is valid with others, and is not validated again.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from alsobought.bots import pattern_problem
from alsobought.errors import PipeFault
from alsobought.json_values import category_path
from alsobought.pipes.declaration import parse_declaration
from alsobought.pipes.parameters import Parameter

MAX_ROWS = 5_000
MAX_FAULTS = 20  # reported of one file
FORBIDDEN = re.compile(r"[\x00-\x1f\x7f]|\{[a-z][a-z0-9_]*:")  # not allowed in a literal of a checked text
COLUMN_HINT = (
    "Write a name and a type, with commas between the columns: event_type String,weight Float64 = 1 (-100..100)"
)

AllowedValues = Mapping[str, Collection[str]]
"""{name of a column, in any file: its allowed values}"""


@dataclass(frozen=True)
class Row:
    """A row of a file: its line, and a value for each column; None for an empty cell without a default."""

    number: int
    values: tuple[Any, ...]


class Literals:
    """Values as an array in SQL. A template can print them, and test with {% if %} whether there are any.

    >>> tea = Literals(["'tea'"], "String")
    >>> str(tea), tea.without_values
    ("cast(['tea'], 'Array(String)')", "cast([], 'Array(String)')")
    """

    __slots__ = ("_elements", "_type")

    def __init__(self, elements: Sequence[str], element_type: str) -> None:
        self._elements, self._type = elements, element_type.replace("'", "\\'")

    def __bool__(self) -> bool:
        return bool(self._elements)

    def __str__(self) -> str:
        return f"cast([{', '.join(self._elements)}], 'Array({self._type})')"

    @property
    def without_values(self) -> str:
        """An empty array of the same type."""
        return f"cast([], 'Array({self._type})')"


@dataclass(frozen=True)
class CsvFile:
    """A valid file, which a template imports and calls."""

    name: str
    columns: tuple[Parameter, ...]
    rows: tuple[Row, ...]

    def __call__(self, *names: Any, **filters: Any) -> Literals:
        """Raises PipeFault for an unknown column."""
        indexes = [self._index(name) for name in names] or list(range(len(self.columns)))
        conditions = [(self._index(name), value) for name, value in filters.items()]
        rows = [row for row in self.rows if all(_matches(row.values[index], value) for index, value in conditions)]
        types = [_sql_type(self.columns[index]) for index in indexes]
        element_type = types[0] if len(types) == 1 else f"Tuple({', '.join(types)})"
        literals = [[_literal(row.values[index]) for index in indexes] for row in rows]
        return Literals([cells[0] if len(cells) == 1 else f"({', '.join(cells)})" for cells in literals], element_type)

    def _index(self, name: Any) -> int:
        names = [column.name for column in self.columns]
        if not isinstance(name, str) or name not in names:
            near = get_close_matches(name, names, n=1) if isinstance(name, str) else []
            column = name if isinstance(name, str) else f"of a {type(name).__name__}"
            hint = (f"Did you mean {near[0]}? " if near else "") + f"There are {', '.join(names)}"
            raise PipeFault(f"{self.name} has no column {column}", hint)
        return names.index(name)


def _matches(value: Any, expected: Any) -> bool:
    """True if the cell has this value; `true` matches any value, `false` an empty cell."""
    return (value not in (None, "")) == expected if isinstance(expected, bool) else bool(value == expected)


def _sql_type(column: Parameter) -> str:
    """An empty cell is NULL, or the empty string in a String column."""
    return f"Nullable({column.sql_type})" if column.optional and column.type != "String" else column.sql_type


def _literal(value: Any) -> str:
    """A value as a ClickHouse literal; strings are quoted and escaped.

    >>> _literal("it's"), _literal(0.5), _literal(None)
    ("'it\\\\'s'", '0.5', 'NULL')
    """
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, datetime):
        return f"'{value:%Y-%m-%d %H:%M:%S}'"
    text = value.isoformat() if isinstance(value, date) else str(value)
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def read_csv(name: str, text: str, allowed_values: AllowedValues) -> CsvFile:
    """The file of this name, such as `signals.csv`.

    Raises PipeFault for the first fault, with its line, and `others` for further ones.
    """
    faults: list[PipeFault] = []
    records = _records(name, text)
    number, header = next(records, (1, []))
    columns = tuple(_columns(name, number, header, allowed_values, faults))
    if faults or not columns:
        raise PipeFault.together(faults or [PipeFault(f"{name} is empty", COLUMN_HINT, 1)])
    rows = []
    for number, cells in records:
        problems = list(_problems(columns, cells))
        faults += [PipeFault(f"{name}, line {number}: {problem}", hint, number) for problem, hint in problems]
        if len(faults) >= MAX_FAULTS:
            break
        if not problems:
            rows.append(Row(number, tuple(map(_value, columns, cells))))
    if len(rows) > MAX_ROWS:
        faults.append(PipeFault(f"{name} has {len(rows):,} rows; at most {MAX_ROWS:,}", "Use a table for more"))
    file = CsvFile(name, columns, tuple(rows))
    for row, problem, hint in _FILE_CHECKS.get(name, _no_check)(file):
        faults.append(PipeFault(f"{name}, line {row.number}: {problem}", hint, row.number))
    if faults:
        raise PipeFault.together(faults[:MAX_FAULTS])
    return file


def _records(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each row. A quoted cell must end on its line."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip(" ,") or line.startswith("#"):
            continue
        try:
            yield number, [cell.strip() for cell in next(csv.reader([line], strict=True))]
        except csv.Error as error:
            hint = 'Put a value with commas in double quotes, and double a quote within it: "a ""b"", c"'
            raise PipeFault(f"{name}, line {number}: cannot be read: {error}", hint, number) from error


def _columns(
    name: str, number: int, cells: list[str], allowed_values: AllowedValues, faults: list[PipeFault]
) -> Iterator[Parameter]:
    seen: Counter[str] = Counter()
    for cell in cells:
        try:
            column = parse_declaration(f":{cell}  a column", number)
        except PipeFault as fault:
            is_named = fault.message.startswith(f":{cell.split(' ')[0]} ")
            message = fault.message if is_named else f"{cell!r} is not a column"
            hint = fault.hint if fault.hint.startswith("There are") else COLUMN_HINT
            faults.append(PipeFault(f"{name}, line {number}: {message.removeprefix(':')}", hint, number))
            continue
        seen[column.name] += 1
        if column.repeated:
            faults.append(PipeFault(f"{name}, line {number}: {column.name} takes several values", COLUMN_HINT, number))
        if seen[column.name] == 2:
            faults.append(
                PipeFault(f"{name}, line {number}: {column.name} appears twice", "Remove one of them", number)
            )
        allowed = allowed_values.get(column.name)
        yield replace(column, choices=tuple(allowed)) if allowed else column


def _problems(columns: Collection[Parameter], cells: list[str]) -> Iterator[tuple[str, str]]:
    """The problems of a row, each with a hint."""
    if len(cells) != len(columns):
        problem = f"{len(cells)} value{'s' * (len(cells) != 1)}, but the first line declares {len(columns)} columns"
        yield problem, "Empty values need their commas, too; a value with commas needs double quotes"
        return
    for column, cell in zip(columns, cells, strict=True):
        try:
            if forbidden := FORBIDDEN.search(cell):
                raise ValueError(f"{forbidden[0]!r} is not allowed in a value")
            if cell:
                column.read(cell)
            elif column.required:
                raise ValueError("missing")
        except ValueError as error:
            yield f"{column.name}: {error}", ""


def _value(column: Parameter, cell: str) -> Any:
    if cell:
        value = column.read(cell)
        return category_path(value) if column.name == "category" and isinstance(value, str) else value
    return "" if column.type == "String" and column.default is None else column.default


# Checks of the project's own files beyond the types of their columns

Problem = tuple[Row, str, str]
"""A row, its problem, and a hint."""


def _no_check(_: CsvFile) -> Iterator[Problem]:
    yield from ()


def _check_signals(file: CsvFile) -> Iterator[Problem]:
    """An event type has one weight."""
    first_lines: dict[Any, int] = {}
    for row in file.rows:
        if (first_line := first_lines.setdefault(row.values[0], row.number)) != row.number:
            yield row, f"{row.values[0]} is already in line {first_line}", "Keep one of the two lines"


def _check_rules(file: CsvFile) -> Iterator[Problem]:
    names = [column.name for column in file.columns]
    for row in file.rows:
        for problem, hint in _rule_problems(dict(zip(names, row.values, strict=True))):
            yield row, problem, hint


def _rule_problems(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    action, value = rule.get("rule"), rule.get("value")
    if bool(rule.get("item_id")) == bool(rule.get("category")):
        yield "needs either an item_id or a category", "Leave the other one empty"
    if action == "pin" and (not rule.get("item_id") or value not in range(1, 101)):
        yield "pin needs an item_id and a position", "Write its position as value, a whole number from 1 to 100"
    if action == "boost" and (value is None or value < 0):
        yield "boost needs a factor", "Write it as value: 2 doubles the score, 0.5 halves it"
    if action == "hide" and value is not None:
        yield f"hide takes no value, but has {value:g}", "Leave it empty"
    since, until = rule.get("from"), rule.get("until")
    if isinstance(since, date) and isinstance(until, date) and since > until:
        yield f"from {since} is after until {until}", "Both days are included"


def _has_columns(*needed: str) -> Callable[[CsvFile], Iterator[Problem]]:
    def check(file: CsvFile) -> Iterator[Problem]:
        if (names := tuple(column.name for column in file.columns)) != needed:
            yield Row(1, ()), f"has the columns {', '.join(names)}", f"It needs {' and '.join(needed)}"

    return check


def _check_bots(file: CsvFile) -> Iterator[Problem]:
    if (names := [column.name for column in file.columns]) != ["bot"]:
        yield Row(1, ()), f"has the columns {', '.join(names)}", "It needs one, bot"
        return
    for row in file.rows:
        if problem := pattern_problem(row.values[0]):
            yield row, *problem


_FILE_CHECKS: Mapping[str, Callable[[CsvFile], Iterator[Problem]]] = {
    "signals.csv": _check_signals,
    "rules.csv": _check_rules,
    "placeholders.csv": _has_columns("placeholder", "stands_for"),
    "bots.csv": _check_bots,
    "user_attributes.csv": _has_columns("attribute"),
}
