"""Check the columns and the first rows of a file before any of it is stored.

What a sample cannot decide, such as whether 1.299 is a price of a thousand, is asked, never guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import inspect

from alsobought.errors import Unusable
from alsobought.events import Rejected, Rules
from alsobought.formats.reading import format_of
from alsobought.loading.cells import is_empty
from alsobought.loading.conditions import condition_of
from alsobought.loading.files import Row, Rows
from alsobought.loading.mapping import ColumnMapping, check_columns, fields_of
from alsobought.loading.nested import is_there, look_up, named
from alsobought.loading.number_cells import NumberEvidence, NumberStyle
from alsobought.loading.rejected_row import RejectedRow
from alsobought.loading.rejects import flags_for_types
from alsobought.loading.row_converter import row_reader
from alsobought.loading.row_shaping import RowShaper
from alsobought.loading.time_cells import format_flags, formats_of, to_time

SAMPLE_ROWS = 1000
MIN_SAMPLE_ROWS = 20  # a smaller file is not judged by its share of rejected rows


def check_sample(rows: Rows, kind: str, columns: ColumnMapping, rules: Rules, *, force: bool) -> ColumnMapping:
    """Check the columns and a sample; the rows stay available to the caller, and notes are added to them.

    Returns the mapping as it fits this file. Raises Unusable if the columns cannot be loaded, if the
    sample asks a question, or, without `force`, if most of its rows would be rejected.
    """
    sample = rows.peek(SAMPLE_ROWS)
    has_header = rows.columns is not None
    names = rows.columns if rows.columns is not None else _common_names([row for _, row in sample])
    if has_header:
        columns = _fitted(rows, columns, [row for _, row in sample])
    read = row_reader(kind, columns, rules, rows.format)
    check_columns(rows.name, kind, names, columns, rules.attributes, complete=has_header)
    shaper = RowShaper(columns)
    shaped = list(shaper(sample))
    columns = _with_decimal(rows.name, kind, columns, [row for _, row in shaped])
    if kind == "events":
        _check_times(rows, columns, [row for _, row in shaped])
    rejected = read([row for _, row in shaped]).rejected
    if not force and len(shaped) >= MIN_SAMPLE_ROWS and 2 * len(rejected) > len(shaped):
        raise _mostly_rejected(rows.name, shaper.row_number(shaped[rejected[0].index][0]), rejected, len(shaped))
    if sample and not shaped:
        rows.notes.append(f"--where leaves out all of the first {len(sample):,} rows{_values_of(sample, columns)}")
    return columns


def _mostly_rejected(name: str, row: int, rejected: Sequence[Rejected], size: int) -> Unusable:
    flags = flags_for_types([reject.problem for reject in rejected[:100]]) or "--map and --set"
    return Unusable(
        f"{len(rejected)} of the first {size} rows of {name} would be rejected (row {row}: {rejected[0].problem}):"
        " the mapping is probably wrong",
        f"Correct it with {flags}, list all rejected rows with --dry-run, or load the others with --force",
    )


def _values_of(sample: Sequence[tuple[int, Row]], columns: ColumnMapping) -> str:
    """The values of the first condition's column, as far as a few are enough."""
    column = condition_of(columns.where[0]).column if columns.where else ""
    values = {str(look_up(row, column)) for _, row in sample if isinstance(row, dict)}
    return f": {column!r} is {', '.join(sorted(values)[:5])}" if values else ""


def _fitted(rows: Rows, columns: ColumnMapping, sample: Sequence[Row]) -> ColumnMapping:
    """The mapping without the columns of a preset that the file lacks, and without empty columns that have no name."""
    names = rows.columns or []
    missing = {
        name: column
        for name, column in columns.mapped.items()
        if column in columns.optional and not is_there(column, names)
    }
    rows.notes += [f"has no column {named(column)}, so {name} is not loaded" for name, column in missing.items()]
    where = []
    for text in columns.where:
        if (column := condition_of(text).column) not in columns.optional or is_there(column, names):
            where.append(text)
        else:
            rows.notes.append(f"has no column {named(column)}, so no row is left out by it")
    unnamed = {""} if "" in names and all(is_empty(row.get("")) for row in sample if isinstance(row, dict)) else set()
    return replace(
        columns,
        mapped={name: column for name, column in columns.mapped.items() if name not in missing},
        where=tuple(where),
        each="" if columns.each in columns.optional and columns.each not in names else columns.each,
        dropped=columns.dropped | unnamed,
    )


def _with_decimal(file: str, kind: str, columns: ColumnMapping, sample: Sequence[Row]) -> ColumnMapping:
    """The mapping with the decimal mark that the sample shows. Raises Unusable if that is a question."""
    if NumberStyle(columns.decimal, columns.thousands).mark:
        return columns
    evidence = NumberEvidence()
    for name, field_type in fields_of(kind).items():
        if isinstance(field_type, (inspect.IntType, inspect.FloatType)) and name not in columns.constants:
            texts = [value for value in _cells(sample, name, columns) if isinstance(value, str)]
            evidence.add(texts, columns.mapped.get(name, name))
    decimal = evidence.decimal()
    if decimal is None:
        question, answer = evidence.question()
        raise Unusable(f"{file}: {question}", answer)
    return replace(columns, decimal=decimal)


def _check_times(rows: Rows, columns: ColumnMapping, sample: Sequence[Row]) -> None:
    """Raises Unusable if most times of the sample have one format that must be given."""
    if "timestamp" not in columns.constants and rows.columns is not None:
        column = columns.mapped.get("timestamp", "timestamp")
        if not is_there(column, rows.columns) or column in columns.dropped - {*columns.mapped.values()}:
            rows.notes.append("has no timestamp: its events are dated now; pass --map timestamp=COLUMN if it has one")
    if columns.time_format or columns.epoch:
        return
    unread = [text for text in _cells(sample, "timestamp", columns) if isinstance(text, str) and not _is_time(text)]
    formats = formats_of(unread[0]) if 2 * len(unread) > len(sample) else []
    for text in unread:
        formats = [one for one in formats if one in formats_of(text)]
    if formats:
        raise Unusable(f"{rows.name}: times such as {unread[0]!r} need a format", f"Pass {format_flags(formats)}")


def _is_time(text: str) -> bool:
    try:
        to_time(text)
    except RejectedRow:
        return False
    return True


def _cells(sample: Sequence[Row], name: str, columns: ColumnMapping) -> Iterator[Any]:
    """The values of a field's column that are converted."""
    column = columns.mapped.get(name, name)
    for row in sample:
        values: Mapping[str, Any] = row if isinstance(row, dict) else {}
        if isinstance(row, bytes) and columns.convert:
            values = _object(row)
        if not is_empty(value := look_up(values, column)):
            yield value


def _object(row: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(row)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _common_names(rows: Sequence[Row]) -> list[str]:
    """The names that most objects have. A rare one is a fault of its row, not of the file.

    Objects in the format of an analytics tool have names of their own.
    """
    counts: dict[str, int] = {}
    for row in rows:
        for name in _names(row) if isinstance(row, bytes) else ():
            counts[name] = counts.get(name, 0) + 1
    return [name for name, count in counts.items() if 2 * count > len(rows)]


def _names(row: bytes) -> Collection[str]:
    value = _object(row)
    return () if format_of(value) else value
