"""Rows that a case expects against rows that came: the first difference, in words. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec

Row = Mapping[str, Any]
TOLERANCE = 1e-6


def difference(
    wanted: Sequence[Row],
    got: Sequence[Row],
    *,
    ordered: bool = True,
    exact: bool = False,
    tolerance: float = TOLERANCE,
) -> str:
    """An empty string, or the first difference. A wanted row holds the columns that matter; `exact` wants all of them.

    >>> difference([{"item_id": "tea"}], [{"item_id": "mug", "score": 0.5}])
    'row 1: item_id is "mug", not "tea"'
    >>> difference([{"item_id": "b"}, {"item_id": "a"}], [{"item_id": "a"}, {"item_id": "b"}], ordered=False)
    ''
    """
    if not ordered:
        return _unordered(wanted, got, exact, tolerance)
    for number, (want, row) in enumerate(zip(wanted, got, strict=False), start=1):
        if problem := _row(want, row, exact, tolerance):
            return f"row {number}: {problem}"
    if len(wanted) != len(got):
        return f"{_rows(len(got))}, not {len(wanted)}"
    return ""


def same(want: Any, got: Any, tolerance: float = TOLERANCE) -> bool:
    """Whether a value is the one expected; fractions may differ by this share of themselves.

    YAML makes a day or a moment of what looks like one, and JSON has texts for both. A moment without a zone is in UTC.
    """
    if isinstance(want, datetime):
        return _moment(want) == _moment(got)
    if isinstance(want, date):
        return bool(want == got or want.isoformat() == got)
    if isinstance(want, bool) or isinstance(got, bool):
        return want is got
    if isinstance(want, float) and isinstance(got, (int, float)):
        return math.isclose(want, got, rel_tol=tolerance, abs_tol=1e-9)
    if isinstance(want, list) and isinstance(got, list):
        return len(want) == len(got) and all(same(a, b, tolerance) for a, b in zip(want, got, strict=True))
    return bool(want == got)


def _moment(value: Any) -> datetime | None:
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _row(want: Row, got: Row, exact: bool, tolerance: float) -> str:
    for name, value in want.items():
        if name not in got:
            return f"there is no column {name}; there are {', '.join(got)}"
        if not same(value, got[name], tolerance):
            return f"{name} is {_shown(got[name])}, not {_shown(value)}"
    if exact and (unnamed := [name for name in got if name not in want]):
        return f"{', '.join(unnamed)} not named, and the case is exact"
    return ""


def _unordered(wanted: Sequence[Row], got: Sequence[Row], exact: bool, tolerance: float) -> str:
    """Each wanted row takes a row of its own; where it is taken, the one who has it looks for another."""
    fits = [[not _row(want, row, exact, tolerance) for row in got] for want in wanted]
    taken: dict[int, int] = {}

    def place(want: int, tried: set[int]) -> bool:
        for row in range(len(got)):
            if fits[want][row] and row not in tried:
                tried.add(row)
                if row not in taken or place(taken[row], tried):
                    taken[row] = want
                    return True
        return False

    for number in range(len(wanted)):
        if not place(number, set()):
            if len(wanted) == len(got) == 1:
                return f"row 1: {_row(wanted[0], got[0], exact, tolerance)}"
            return f"no row for {_shown(wanted[number])}"
    if len(wanted) != len(got):
        return f"{_rows(len(got))}, not {len(wanted)}"
    return ""


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _shown(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
