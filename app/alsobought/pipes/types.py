"""The types of parameters: a value of a request, as text or as JSON, becomes one of Python's or is refused.

A refusal is a ValueError that says what would have worked, shortly, whatever the value is.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import msgspec
import re2

INTEGERS = {f"{sign}Int{bits}": (bits, bool(sign)) for sign in ("U", "") for bits in (8, 16, 32, 64)}
TYPES = ("String", *INTEGERS, "Float64", "Bool", "Date", "DateTime")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|nan|inf", re.ASCII)
MAX_LENGTH = 1000  # characters of a String
MAX_PATTERN = 200  # characters of a pattern
PATTERN_MEMORY = 1 << 18  # bytes; more than any honest pattern needs


def limits(kind: str) -> tuple[Any, Any]:
    """The smallest and largest value of a type; None where it has no such bound.

    >>> limits("Int8"), limits("String")
    ((-128, 127), (None, None))
    """
    if kind not in INTEGERS:
        return None, None
    bits, unsigned = INTEGERS[kind]
    return (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def read(kind: str, text: Any, bounds: tuple[Any, Any]) -> Any:
    """A value of this type. `bounds` only help to say which number would have worked. Raises ValueError."""
    if kind in INTEGERS:
        return _integer(text, bounds)
    return _READERS[kind](text)


@lru_cache(maxsize=256)
def pattern(text: str) -> Any:
    """A pattern to be asked with `fullmatch`. RE2: its time grows with the length of a value and no faster.

    Raises ValueError.
    """
    if not text:
        raise ValueError("the pattern // is empty")
    if len(text) > MAX_PATTERN:
        raise ValueError(f"the pattern has {len(text):,} characters; at most {MAX_PATTERN}")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_MEMORY
    try:
        return re2.compile(text, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        reason = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"/{shown_plain(text)}/ is not a pattern: {reason}") from None


def shown(text: Any) -> str:
    """A value as its sender wrote it: true, not True."""
    if text is None or isinstance(text, (bool, list, dict)):
        return shown_plain(msgspec.json.encode(text).decode())
    if isinstance(text, int) and abs(text) > 10**60:  # Python refuses to write out the very large ones
        return "a number of so many digits"
    return shown_plain(repr(text))


def shown_plain(text: str) -> str:
    """Short enough to be said back, and certain to be Unicode."""
    short = text if len(text) <= 60 else f"{text[:57]}…"
    return short.encode(errors="replace").decode()


def said(value: Any) -> str:
    """A bound, a choice or a default as a header writes it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _string(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError(f"{shown(text)} is not a text")
    if len(text) > MAX_LENGTH:
        raise ValueError(f"{len(text):,} characters; at most {MAX_LENGTH:,}")
    if "\0" in text:
        raise ValueError("holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid Unicode") from None
    return text


def _integer(text: Any, bounds: tuple[Any, Any]) -> int:
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    if isinstance(text, str) and re.fullmatch(r"[+-]?[0-9]{1,20}", text):
        return int(text)
    raise ValueError(f"{shown(text)} is not a whole number between {said(bounds[0])} and {said(bounds[1])}")


def _float(text: Any) -> float:
    try:
        if isinstance(text, bool) or not isinstance(text, (int, float, str)):
            raise ValueError
        if isinstance(text, str) and not NUMBER.fullmatch(text):
            raise ValueError  # Python would take 1_000, spaces and the digits of other scripts
        value = float(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(text)} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)} is not a finite number")
    return value


def _bool(text: Any) -> bool:
    if isinstance(text, int) and text in (0, 1):
        return bool(text)
    found = {"true": True, "1": True, "false": False, "0": False}.get(text.lower() if isinstance(text, str) else "")
    if found is None:
        raise ValueError(f"{shown(text)} is not true or false")
    return found


def _date(text: Any) -> date:
    try:
        value = date.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"{shown(text)} is not a date like 2026-01-31") from None
    if not 1970 <= value.year <= 2100:
        raise ValueError(f"{shown(text)} is not between 1970 and 2100")
    return value


def _datetime(text: Any) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"{shown(text)} is not a time like 2026-01-31T12:00:00Z") from None
    if not 1970 < value.year <= 2100:
        raise ValueError(f"{shown(text)} is not between 1971 and 2100")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


_READERS: dict[str, Any] = {"String": _string, "Float64": _float, "Bool": _bool, "Date": _date, "DateTime": _datetime}
