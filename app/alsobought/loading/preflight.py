"""Check the columns and the first rows of a file before any of it is stored."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from alsobought.errors import Unusable
from alsobought.events import Rules
from alsobought.formats.reading import format_of
from alsobought.loading.files import Row, Rows
from alsobought.loading.mapping import ColumnMapping, check_columns
from alsobought.loading.row_converter import row_reader

SAMPLE_ROWS = 1000
MIN_SAMPLE_ROWS = 20  # a smaller file is not judged by its share of rejected rows


def check_sample(rows: Rows, kind: str, columns: ColumnMapping, rules: Rules, *, force: bool) -> None:
    """Check the columns and a sample; the rows stay available to the caller.

    Raises Unusable if the columns cannot be loaded or, without `force`, if most rows of the sample
    would be rejected.
    """
    read = row_reader(kind, columns, rules, rows.format)
    sample = rows.peek(SAMPLE_ROWS)
    has_header = rows.columns is not None
    names = rows.columns if rows.columns is not None else _common_names([row for _, row in sample])
    check_columns(rows.name, kind, names, columns, complete=has_header)
    rejected = read([row for _, row in sample]).rejected
    if not force and len(sample) >= MIN_SAMPLE_ROWS and 2 * len(rejected) > len(sample):
        number, problem = sample[rejected[0].index][0], rejected[0].problem
        raise Unusable(
            f"{len(rejected)} of the first {len(sample)} rows of {rows.name} would be rejected (row {number}: {problem}):"
            " the mapping is probably wrong",
            "Correct it with --map and --set, list all rejected rows with --dry-run, or load the others with --force",
        )


def _common_names(rows: Sequence[Row]) -> list[str]:
    """The names that most objects have. A rare one is a fault of its row, not of the file.

    Objects in the format of an analytics tool have names of their own.
    """
    counts: dict[str, int] = {}
    for row in rows:
        try:
            value = msgspec.json.decode(row) if isinstance(row, bytes) else {}
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        for name in value if isinstance(value, dict) and not format_of(value) else ():
            counts[name] = counts.get(name, 0) + 1
    return [name for name, count in counts.items() if 2 * count > len(rows)]
