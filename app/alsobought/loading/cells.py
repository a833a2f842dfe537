"""Convert a cell of CSV or Parquet to the type of its field. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import inspect

from alsobought.events import in_utc

EPOCHS = {"s": 1, "ms": 1000}
DIGITS = tuple("0123456789.")
BOOLEANS = {"t": True, "yes": True, "y": True, "f": False, "no": False, "n": False}


class RejectedRow(ValueError):
    """A row that cannot be accepted; its text is the problem."""


def to_text(value: Any) -> Any:
    """An ID as text. Both 17 and 17.0 are "17", since a column of integers with nulls has floats.

    >>> to_text(17.0), to_text(True), to_text("a")
    ('17', 'true', 'a')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        return str(int(value))
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise RejectedRow("not UTF-8") from error
    return str(value) if isinstance(value, int) else value


def to_number(value: Any) -> Any:
    """A number. Text stays text, which msgspec converts.

    >>> to_number(" 2.50 "), to_number(Decimal("2.5"))
    ('2.50', 2.5)
    """
    if isinstance(value, str):
        value = value.strip()
        if value[-1:] not in DIGITS:  # nan, inf
            raise RejectedRow(f"{value[:100]!r} is not a number")
        return value
    if isinstance(value, (float, Decimal)) and not math.isfinite(value):
        raise RejectedRow(f"{value} is not a number")
    return float(value) if isinstance(value, Decimal) else value


def to_boolean(value: Any) -> Any:
    """Converts t and f, as PostgreSQL writes them, yes and no; msgspec converts the other words."""
    return BOOLEANS.get(value.strip().lower(), value.strip()) if isinstance(value, str) else value


def to_object(value: Any) -> Any:
    """An object; text is parsed as JSON."""
    try:
        return msgspec.json.decode(value) if isinstance(value, (str, bytes)) else value
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RejectedRow(f"not JSON: {error}") from error


def to_numbers(value: Any) -> Any:
    """A list of numbers; text is parsed as JSON.

    >>> to_numbers("[0.5, -1]")
    [0.5, -1]
    """
    value = to_object(value)
    if isinstance(value, list) and any(isinstance(number, float) and not math.isfinite(number) for number in value):
        raise RejectedRow("has a number that is not finite")
    return value


def to_time(value: Any, epoch: str = "") -> datetime:
    """A time from ISO text or a date; with `epoch`, from seconds or milliseconds since 1970.

    UTC unless it has a zone.

    >>> to_time("2026-01-31 12:00:00 UTC")
    datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.timezone.utc)
    >>> to_time("1767225600000", "ms")
    datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if isinstance(value, str) and value[4:5] == "-":
        try:
            return in_utc(datetime.fromisoformat(value))
        except ValueError:
            pass  # the slower attempts below raise, if it is none of these either
    if isinstance(value, datetime):
        return in_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    text = str(value).strip()
    if re.fullmatch(r"[-+]?\d+(\.\d*)?", text):
        return _from_epoch(text, epoch)
    try:
        return in_utc(datetime.fromisoformat(re.sub(r" ?UTC$", "+00:00", text)))
    except ValueError as error:
        raise RejectedRow(f"{text[:100]!r} is not a time like 2026-01-31T12:00:00Z") from error


def _from_epoch(text: str, epoch: str) -> datetime:
    if not epoch:
        raise RejectedRow(f"{text[:100]} is a number; pass --epoch s or --epoch ms if it counts from 1970")
    try:
        return datetime.fromtimestamp(float(text) / EPOCHS[epoch], UTC)
    except (ValueError, OverflowError, OSError) as error:
        other = "ms" if epoch == "s" else "s"
        raise RejectedRow(f"{text[:100]} is not a time in {epoch}; --epoch {other}?") from error


CONVERTERS: Mapping[type[inspect.Type], Callable[[Any], Any]] = {
    inspect.StrType: to_text,
    inspect.IntType: to_number,
    inspect.FloatType: to_number,
    inspect.BoolType: to_boolean,
    inspect.DateTimeType: to_time,
    inspect.DictType: to_object,
    inspect.ListType: to_numbers,
}
