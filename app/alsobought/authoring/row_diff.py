"""Compare expected rows with actual rows, and describe the first difference."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec

Row = Mapping[str, Any]
TOLERANCE = 1e-6


def first_difference(
    expected: Sequence[Row],
    actual: Sequence[Row],
    *,
    ordered: bool = True,
    exact: bool = False,
    tolerance: float = TOLERANCE,
) -> str:
    """Empty if the rows match. Only the columns of an expected row are compared; `exact` requires all columns.

    >>> first_difference([{"item_id": "tea"}], [{"item_id": "mug", "score": 0.5}])
    'row 1: item_id is "mug", not "tea"'
    >>> first_difference([{"item_id": "b"}, {"item_id": "a"}], [{"item_id": "a"}, {"item_id": "b"}], ordered=False)
    ''
    """
    if not ordered:
        return _unordered_difference(expected, actual, exact, tolerance)
    for number, (expected_row, row) in enumerate(zip(expected, actual, strict=False), start=1):
        if problem := _row_difference(expected_row, row, exact, tolerance):
            return f"row {number}: {problem}"
    if len(expected) != len(actual):
        return f"{_row_count(len(actual))}, not {len(expected)}"
    return ""


def equal_values(expected: Any, actual: Any, tolerance: float = TOLERANCE) -> bool:
    """True if the values are equal; fractions may differ by this relative tolerance.

    YAML parses dates and times that JSON has as text. A time without a zone is in UTC.
    """
    if isinstance(expected, datetime):
        return _timestamp(expected) == _timestamp(actual)
    if isinstance(expected, date):
        return bool(expected == actual or expected.isoformat() == actual)
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, float) and isinstance(actual, (int, float)):
        return math.isclose(expected, actual, rel_tol=tolerance, abs_tol=1e-9)
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(
            equal_values(a, b, tolerance) for a, b in zip(expected, actual, strict=True)
        )
    return bool(expected == actual)


def _timestamp(value: Any) -> datetime | None:
    try:
        timestamp = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)


def _row_difference(expected: Row, actual: Row, exact: bool, tolerance: float) -> str:
    for name, value in expected.items():
        if name not in actual:
            return f"there is no column {name}; there are {', '.join(actual)}"
        if not equal_values(value, actual[name], tolerance):
            return f"{name} is {_json(actual[name])}, not {_json(value)}"
    if exact and (extra := [name for name in actual if name not in expected]):
        return f"the case is exact and does not list {', '.join(extra)}"
    return ""


def _unordered_difference(expected: Sequence[Row], actual: Sequence[Row], exact: bool, tolerance: float) -> str:
    """Finds a bipartite matching of expected to actual rows by augmenting paths."""
    fits = [[not _row_difference(expected_row, row, exact, tolerance) for row in actual] for expected_row in expected]
    match_of: dict[int, int] = {}  # actual row: expected row

    def assign(wanted: int, visited: set[int]) -> bool:
        for row in range(len(actual)):
            if fits[wanted][row] and row not in visited:
                visited.add(row)
                if row not in match_of or assign(match_of[row], visited):
                    match_of[row] = wanted
                    return True
        return False

    for number in range(len(expected)):
        if not assign(number, set()):
            if len(expected) == len(actual) == 1:
                return f"row 1: {_row_difference(expected[0], actual[0], exact, tolerance)}"
            return f"no row matches {_json(expected[number])}"
    if len(expected) != len(actual):
        return f"{_row_count(len(actual))}, not {len(expected)}"
    return ""


def _row_count(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
