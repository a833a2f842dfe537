"""Convert a cell of CSV or Parquet to the type of its field. Pure.

Numbers are in `number_cells`, times in `time_cells`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import inspect

from alsobought.events import IDS
from alsobought.loading.rejected_row import RejectedRow

ID_FIELDS = frozenset([*IDS, "owner", "group_id"])
WHOLE_FLOAT = re.compile(r"-?(?:0|[1-9]\d*)\.0")
YES = (
    "true",
    "t",
    "yes",
    "y",
    "1",
    "on",
    "ja",
    "j",
    "wahr",
    "oui",
    "o",
    "vrai",
    "si",
    "sí",
    "sim",
    "in stock",
    "instock",
)
NO = (
    "false",
    "f",
    "no",
    "n",
    "0",
    "off",
    "nein",
    "falsch",
    "non",
    "faux",
    "não",
    "out of stock",
    "outofstock",
    "sold out",
)
CAN_BE_ORDERED = ("available", "preorder", "pre order", "backorder", "onbackorder", "limited availability")
CANNOT_BE_ORDERED = ("unavailable", "not available", "discontinued")
BOOLEANS = dict.fromkeys((*YES, *CAN_BE_ORDERED), True) | dict.fromkeys((*NO, *CANNOT_BE_ORDERED), False)


def is_empty(value: Any) -> bool:
    """True for a cell that gives no value: nothing, only spaces, null or NaN."""
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or value != value  # noqa: PLR0124 - NaN


def to_text(value: Any) -> Any:
    """A value as text. Both 17 and 17.0 are "17", since a column of integers with nulls has floats.

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


def to_id(value: Any) -> Any:
    """An ID as text. The text 17.0 is "17" as well: a file of such a column was written as CSV.

    >>> to_id("13085.0"), to_id("007"), to_id("1e5"), to_id("1.50")
    ('13085', '007', '1e5', '1.50')
    """
    if isinstance(value, str):
        return value[:-2] if value.endswith(".0") and WHOLE_FLOAT.fullmatch(value) else value
    return to_text(value)


def to_boolean(value: Any) -> Any:
    """Yes or no in the words of spreadsheets, databases and product feeds."""
    if not isinstance(value, str):
        return value
    word = re.sub(r"[\s_-]+", " ", value.strip().lower())
    if word not in BOOLEANS:
        raise RejectedRow(
            f"{value.strip()[:100]!r} is neither yes nor no; true, false, 1, 0, in stock … are understood"
        )
    return BOOLEANS[word]


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


def to_tags(value: Any) -> Any:
    """A list of texts; text is JSON, or tags between commas or bars.

    >>> to_tags("new, red | sale"), to_tags('["a, b"]')
    (['new', 'red', 'sale'], ['a, b'])
    """
    if not isinstance(value, str) or value.lstrip().startswith("["):
        return to_object(value)
    return [tag for part in re.split("[,|]", value) if (tag := part.strip())]


def to_attribute(value: Any) -> Any:
    """An attribute of a user: a list in JSON is one, everything else of a cell is a word.

    >>> to_attribute("pro"), to_attribute('["vip", "b2b"]'), to_attribute(34), to_attribute(date(2026, 1, 31))
    ('pro', ['vip', 'b2b'], 34, '2026-01-31')
    """
    if isinstance(value, str):
        return to_object(value) if value.lstrip().startswith("[") else value
    return value if isinstance(value, (bool, int, float, list)) else to_text(value)


CONVERTERS: Mapping[type[inspect.Type], Callable[[Any], Any]] = {
    inspect.StrType: to_text,
    inspect.BoolType: to_boolean,
    inspect.DictType: to_object,
    inspect.ListType: to_numbers,
}
