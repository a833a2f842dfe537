"""Values of JSON as shops send them, converted to those that events and items have: numbers as ids, prices as text, times. Pure.

Decoding is strict first, because that is fast; these conversions are for what it rejects. An error is a msgspec.ValidationError
that ends in the path of the field, as msgspec's own do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

SHOWN = 60  # characters of a value in an error
EPOCH_UNITS = ((1e8, 1), (1e11, 1_000), (1e14, 1_000_000), (1e17, 1_000_000_000))
"""From which number on a time counts in which fraction of a second: 10^8 seconds is 1973, and so is 10^11 milliseconds."""
MAX_EPOCH = 1e20
BOOLEANS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "in stock", "available"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "out of stock", "sold out", "unavailable"), False),
}
CURRENCY = re.compile(r"(?P<amount>[\d.,]+)\s*(?P<currency>[A-Za-z]{3})|(?P<code>[A-Za-z]{3})\s*(?P<number>[\d.,]+)")


def fault(problem: str, field: str) -> msgspec.ValidationError:
    return msgspec.ValidationError(f"{problem} - at `$.{field}`")


def shown(value: Any) -> str:
    """A value in an error, cut to a readable length."""
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}…"


def to_id(value: Any, _field: str = "") -> Any:
    """A whole number as text. Other values stay as they are, for the decoder to reject.

    >>> to_id(17), to_id(17.0), to_id("007"), to_id(1.5)
    ('17', '17', '007', 1.5)
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return value


def to_price(value: Any, field: str) -> Any:
    """An amount of money: a number, or text that is one.

    >>> to_price("19.90", "price")
    19.9
    """
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        example = value.replace(",", ".") if re.fullmatch(r"\d+,\d{1,2}", value.strip()) else "19.90"
        raise fault(f"{shown(value)} is not a number; write {example}", field) from None


def to_whole_number(value: Any, field: str) -> Any:
    """A number, as int if it is whole; text may be one.

    >>> to_whole_number("2", "quantity"), to_whole_number(2.0, "quantity"), to_whole_number(0.5, "quantity")
    (2, 2, 0.5)
    """
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        raise fault(f"{shown(value)} is not a number", field) from None
    return int(number) if isinstance(number, float) and number.is_integer() else number


def to_boolean(value: Any, field: str) -> Any:
    """True or false, also as text, as 1 or 0, or as product feeds write it.

    >>> to_boolean("yes", "available"), to_boolean("Out of stock", "available"), to_boolean(1, "available")
    (True, False, True)
    """
    if isinstance(value, bool):
        return value
    word = " ".join(str(value).lower().replace("_", " ").split()) if isinstance(value, (str, int)) else ""
    if word not in BOOLEANS:
        raise fault(f"{shown(value)} is neither true nor false", field)
    return BOOLEANS[word]


def split_currency(value: Any) -> tuple[Any, str]:
    """The amount and the currency of a price like "19.90 EUR", as product feeds write it; of anything else, the value itself.

    >>> split_currency("19.90 EUR"), split_currency("usd 5"), split_currency("19.90")
    (('19.90', 'EUR'), ('5', 'USD'), ('19.90', ''))
    """
    match = CURRENCY.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        return value, ""
    return match["amount"] or match["number"], (match["currency"] or match["code"]).upper()


def to_time(value: Any, field: str) -> Any:
    """A time: ISO 8601, the form of HTTP headers, or a number since 1970, whose size shows its unit.

    >>> print(to_time(1764201600000, "timestamp"), to_time("1764201600", "timestamp"))
    2025-11-27 00:00:00+00:00 2025-11-27 00:00:00+00:00
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, str) and not re.fullmatch(r"\s*\d+(\.\d*)?\s*", value):
        for parse in (datetime.fromisoformat, parsedate_to_datetime):
            try:
                return parse(value.strip())
            except ValueError:
                continue
    elif isinstance(value, (int, float, str)) and not isinstance(value, bool):
        return _from_epoch(float(value), value, field)
    raise fault(f"{shown(value)} is not a time like 2026-01-31T12:00:00Z", field)


def _from_epoch(number: float, value: Any, field: str) -> datetime:
    units = [per_second for least, per_second in EPOCH_UNITS if least <= number < MAX_EPOCH]
    if not units:
        hint = "write 2026-01-31T12:00:00Z, or the seconds, milliseconds or microseconds since 1970"
        raise fault(f"{shown(value)} is not a time: {hint}", field)
    return datetime.fromtimestamp(number / units[-1], UTC)


@lru_cache(10_000)
def category_path(text: str) -> str:
    """A category as a path. Shops separate its levels by >, | or /. Remembered, since a shop has few and each event may have one.

    >>> category_path("Home > Kitchen > Tea"), category_path("Home/Kitchen"), category_path("Home | Kitchen")
    ('Home/Kitchen/Tea', 'Home/Kitchen', 'Home/Kitchen')
    """
    if not re.search(r"[>|]|^/|/$|//|/\s|\s/", text):
        return text
    return "/".join(level for part in re.split(r"[>|/]", text) if (level := part.strip()))


Conversion = Callable[[Any, str], Any]
T = TypeVar("T")


def strict_first(strict: Callable[[bytes], T], of: Callable[[dict[str, Any]], T]) -> Callable[[bytes], T]:
    """A decoder that is strict, which is fast, and hands the fields of what that rejects to `of`, for conversions."""

    def decode(raw: bytes) -> T:
        try:
            return strict(raw)
        except msgspec.ValidationError:
            fields = msgspec.json.decode(raw)
            if not isinstance(fields, dict):
                raise
        return of(fields)

    return decode


def converted(fields: Mapping[str, Any], conversions: Mapping[str, Conversion]) -> dict[str, Any]:
    """The fields, those with a conversion converted. null stays null."""
    return {
        name: conversions[name](value, name) if name in conversions and value is not None else value
        for name, value in fields.items()
    }


def value_at(value: Any, path: Sequence[str]) -> Any:
    """The value at this path of decoded JSON, None if there is none.

    >>> value_at({"context": {"page": 7}}, ["context", "page"]), value_at({"context": 7}, ["context", "page"])
    (7, None)
    """
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def text_at(value: Any, *path: str) -> str:
    """The text at this path of decoded JSON, empty if there is none.

    >>> text_at({"context": {"userAgent": "curl/8"}}, "context", "userAgent"), text_at({"context": 7}, "context")
    ('curl/8', '')
    """
    text = value_at(value, path)
    return text if isinstance(text, str) else ""
