"""What analysts tune as CSV, sql/NAME.csv, as literals of SQL: `{% from 'signals.csv' import signals %}`.

The first line says what each column holds, as the header of a pipe says it of a parameter:

    event_type String,weight Float64 (-100..100)
    view,1
    purchase,5

`signals("weight")` is the column as an array, [1, 5]; of several columns, or none for all of them, it is an array of tuples.
`signals("weight", event_type="view")` keeps the rows with this value, `event_type=true` those where there is one. In an
`{% if … %}` it is true where a row is left. Empty lines and lines that begin with # say nothing; an empty cell takes the
default of its column. What a reader would guess wrong: the values are a part of the text here, as literals that were read
by their type and are written in quotes of our own; nothing of a file is printed as it stands.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any

from alsobought.errors import PipeFault
from alsobought.pipes.declaration import declared
from alsobought.pipes.parameters import Parameter

MAX_ROWS = 5_000
MAX_FAULTS = 20  # of one file that are told
UNREADABLE = re.compile(r"[\x00-\x1f\x7f]|\{[a-z][a-z0-9_]*:")  # what no literal of a checked text may hold
HINT = "Write a name and a type, with commas between the columns: event_type String,weight Float64 = 1 (-100..100)"

Words = Mapping[str, Collection[str]]
"""{name of a column, in any file: the words it may hold}"""


@dataclass(frozen=True)
class Line:
    """One row of a file: its line, and a value for each column; None where nothing was given and nothing is assumed."""

    number: int
    values: tuple[Any, ...]


class Literals:
    """Values as SQL, to be printed whole or asked whether there are any."""

    __slots__ = ("_any", "_sql")

    def __init__(self, sql: str, any_rows: bool) -> None:
        self._sql, self._any = sql, any_rows

    def __bool__(self) -> bool:
        return self._any

    def __str__(self) -> str:
        return self._sql


@dataclass(frozen=True)
class CsvFile:
    """A file that passed every check: what a template imports and calls."""

    name: str
    columns: tuple[Parameter, ...]
    lines: tuple[Line, ...]

    def __call__(self, *wanted: Any, **where: Any) -> Literals:
        """Raises PipeFault for a column that is not there."""
        places = [self._place(name) for name in wanted] or list(range(len(self.columns)))
        filters = [(self._place(name), value) for name, value in where.items()]
        rows = [line for line in self.lines if all(_fits(line.values[at], value) for at, value in filters)]
        types = [_sql_type(self.columns[at]) for at in places]
        kind = types[0] if len(types) == 1 else f"Tuple({', '.join(types)})"
        cells = [[_literal(line.values[at]) for at in places] for line in rows]
        texts = [cell[0] if len(cell) == 1 else f"({', '.join(cell)})" for cell in cells]
        quoted = kind.replace("'", "\\'")
        return Literals(f"cast([{', '.join(texts)}], 'Array({quoted})')", bool(rows))

    def _place(self, name: Any) -> int:
        names = [column.name for column in self.columns]
        if not isinstance(name, str) or name not in names:
            near = get_close_matches(name, names, n=1) if isinstance(name, str) else []
            said = name if isinstance(name, str) else f"of a {type(name).__name__}"
            hint = (f"Did you mean {near[0]}? " if near else "") + f"There are {', '.join(names)}"
            raise PipeFault(f"{self.name} has no column {said}", hint)
        return names.index(name)


def _fits(value: Any, wanted: Any) -> bool:
    """`true` asks whether there is a value at all."""
    return (value not in (None, "")) == wanted if isinstance(wanted, bool) else bool(value == wanted)


def _sql_type(column: Parameter) -> str:
    """A text that is not given is empty, anything else is NULL."""
    return f"Nullable({column.sql_type})" if column.optional and column.type != "String" else column.sql_type


def _literal(value: Any) -> str:
    """A value as the engine reads it; texts in quotes, in which a quote or a backslash stands behind a backslash.

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


def read_csv(name: str, text: str, words: Words) -> CsvFile:
    """The file of this name, such as `signals.csv`.

    Raises PipeFault that names the line, and `others` for further ones.
    """
    faults: list[PipeFault] = []
    rows = _rows(name, text)
    number, header = next(rows, (1, []))
    columns = tuple(_columns(name, number, header, words, faults))
    if faults or not columns:
        raise PipeFault.together(faults or [PipeFault(f"{name} is empty", HINT, 1)])
    lines = []
    for number, cells in rows:
        problems = list(_problems(columns, cells))
        faults += [PipeFault(f"{name}, line {number}: {problem}", hint, number) for problem, hint in problems]
        if len(faults) >= MAX_FAULTS:
            break
        if not problems:
            lines.append(Line(number, tuple(map(_value, columns, cells))))
    if len(lines) > MAX_ROWS:
        faults.append(PipeFault(f"{name} has {len(lines):,} rows; at most {MAX_ROWS:,}", "A table holds more"))
    made = CsvFile(name, columns, tuple(lines))
    for line, problem, hint in _RULES.get(name, _nothing)(made):
        faults.append(PipeFault(f"{name}, line {line.number}: {problem}", hint, line.number))
    if faults:
        raise PipeFault.together(faults[:MAX_FAULTS])
    return made


def _rows(name: str, text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows with the number of their line. A text in quotes may not go over lines: no value holds the end of one."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip(" ,") or line.startswith("#"):
            continue
        try:
            yield number, [cell.strip() for cell in next(csv.reader([line], strict=True))]
        except csv.Error as error:
            hint = 'A value with commas stands in double quotes, a double quote in it is written twice: "a ""b"", c"'
            raise PipeFault(f"{name}, line {number}: cannot be read: {error}", hint, number) from error


def _columns(name: str, number: int, cells: list[str], words: Words, faults: list[PipeFault]) -> Iterator[Parameter]:
    seen: Counter[str] = Counter()
    for cell in cells:
        try:
            column = declared(f":{cell}  a column", number)
        except PipeFault as fault:
            said = fault.message if fault.message.startswith(f":{cell.split(' ')[0]} ") else f"{cell!r} is not a column"
            hint = fault.hint if fault.hint.startswith("There are") else HINT
            faults.append(PipeFault(f"{name}, line {number}: {said.removeprefix(':')}", hint, number))
            continue
        seen[column.name] += 1
        if column.repeated:
            faults.append(PipeFault(f"{name}, line {number}: {column.name} takes several values", HINT, number))
        if seen[column.name] == 2:
            faults.append(PipeFault(f"{name}, line {number}: {column.name} stands twice", "Take one out", number))
        yield replace(column, choices=tuple(words[column.name])) if words.get(column.name) else column


def _problems(columns: Collection[Parameter], cells: list[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with a row, and what would have worked."""
    if len(cells) != len(columns):
        said = f"{len(cells)} value{'s' * (len(cells) != 1)}, and the first line names {len(columns)} columns"
        yield said, "A comma stands between two values, also where one is empty; a value with commas stands in quotes"
        return
    for column, cell in zip(columns, cells, strict=True):
        try:
            if found := UNREADABLE.search(cell):
                raise ValueError(f"{found[0]!r} cannot stand in a value")
            if cell:
                column.read(cell)
            elif column.required:
                raise ValueError("missing")
        except ValueError as error:
            yield f"{column.name}: {error}", ""


def _value(column: Parameter, cell: str) -> Any:
    if cell:
        return column.read(cell)
    return "" if column.type == "String" and column.default is None else column.default


# What the files of the house must say beyond their types

Finding = tuple[Line, str, str]
"""A line, what is wrong with it, and what would have worked."""


def _nothing(_: CsvFile) -> Iterator[Finding]:
    yield from ()


def _once(made: CsvFile) -> Iterator[Finding]:
    """An event type has one weight."""
    seen: dict[Any, int] = {}
    for line in made.lines:
        if (first := seen.setdefault(line.values[0], line.number)) != line.number:
            yield line, f"{line.values[0]} stands in line {first}, too", "Keep one of the two lines"


def _whole_rules(made: CsvFile) -> Iterator[Finding]:
    names = [column.name for column in made.columns]
    for line in made.lines:
        rule = dict(zip(names, line.values, strict=True))
        for problem, hint in _wrong_with(rule):
            yield line, problem, hint


def _wrong_with(rule: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    kind, value = rule.get("rule"), rule.get("value")
    if bool(rule.get("item_id")) == bool(rule.get("category")):
        yield "names an item_id and a category, or neither", "A rule is about one of them: leave the other empty"
    if kind == "pin" and (not rule.get("item_id") or value not in range(1, 101)):
        yield "pin needs an item_id and a position", "Write its position as value, a whole number from 1 to 100"
    if kind == "boost" and (value is None or value < 0):
        yield "boost needs a factor", "Write it as value: 2 doubles the score, 0.5 halves it"
    if kind == "hide" and value is not None:
        yield f"hide takes no value, and {value:g} is one", "Leave it empty"
    since, until = rule.get("from"), rule.get("until")
    if isinstance(since, date) and isinstance(until, date) and since > until:
        yield f"from {since} is after until {until}", "Both days belong to it"


_RULES: Mapping[str, Callable[[CsvFile], Iterator[Finding]]] = {"signals.csv": _once, "rules.csv": _whole_rules}
