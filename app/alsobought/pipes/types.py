"""Parse a value of a request, text or JSON, by the type of its parameter.

An invalid value raises a ValueError that describes valid ones. Its message is short for any value.
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
PATTERN_MEMORY = 1 << 18  # bytes; any reasonable pattern needs less


def limits(type_name: str) -> tuple[Any, Any]:
    """The smallest and largest value of a type; None for a type without bounds.

    >>> limits("Int8"), limits("String")
    ((-128, 127), (None, None))
    """
    if type_name not in INTEGERS:
        return None, None
    bits, unsigned = INTEGERS[type_name]
    return (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def parse_value(type_name: str, text: Any, bounds: tuple[Any, Any]) -> Any:
    """A value of this type. `bounds` are only for the message. Raises ValueError."""
    if type_name in INTEGERS:
        return _integer(text, bounds)
    return _PARSERS[type_name](text)


@lru_cache(maxsize=256)
def pattern(text: str) -> Any:
    """A compiled pattern for `fullmatch`. RE2 takes linear time in the length of the value.

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
        argument = error.args[0] if error.args else ""
        reason = argument.decode(errors="replace") if isinstance(argument, bytes) else str(argument)
        raise ValueError(f"/{shorten(text)}/ is not a pattern: {reason}") from None


def quote_value(text: Any) -> str:
    """A value for a message, in the syntax of its sender: true, not True."""
    if text is None or isinstance(text, (bool, list, dict)):
        return shorten(msgspec.json.encode(text).decode())
    if isinstance(text, int) and abs(text) > 10**60:  # Python refuses to format very large integers
        return "a number of so many digits"
    return shorten(repr(text))


def shorten(text: str) -> str:
    """At most 60 characters, without lone surrogates."""
    short = text if len(text) <= 60 else f"{text[:57]}…"
    return short.encode(errors="replace").decode()


def format_value(value: Any) -> str:
    """A bound, a choice or a default in the syntax of a header."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _string(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError(f"{quote_value(text)} is not a string")
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
    raise ValueError(
        f"{quote_value(text)} is not a whole number between {format_value(bounds[0])} and {format_value(bounds[1])}"
    )


def _float(text: Any) -> float:
    try:
        if isinstance(text, bool) or not isinstance(text, (int, float, str)):
            raise ValueError
        if isinstance(text, str) and not NUMBER.fullmatch(text):
            raise ValueError  # Python accepts 1_000, spaces and digits of other scripts
        value = float(text)
    except (ValueError, OverflowError):
        raise ValueError(f"{quote_value(text)} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{quote_value(text)} is not a finite number")
    return value


def _bool(text: Any) -> bool:
    if isinstance(text, int) and text in (0, 1):
        return bool(text)
    value = {"true": True, "1": True, "false": False, "0": False}.get(text.lower() if isinstance(text, str) else "")
    if value is None:
        raise ValueError(f"{quote_value(text)} is not true or false")
    return value


def _date(text: Any) -> date:
    try:
        value = date.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"{quote_value(text)} is not a date like 2026-01-31") from None
    if not 1970 <= value.year <= 2100:
        raise ValueError(f"{quote_value(text)} is not between 1970 and 2100")
    return value


def _datetime(text: Any) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise ValueError(f"{quote_value(text)} is not a time like 2026-01-31T12:00:00Z") from None
    if not 1970 < value.year <= 2100:
        raise ValueError(f"{quote_value(text)} is not between 1971 and 2100")
    return value if value.tzinfo else value.replace(tzinfo=UTC)


_PARSERS: dict[str, Any] = {"String": _string, "Float64": _float, "Bool": _bool, "Date": _date, "DateTime": _datetime}
