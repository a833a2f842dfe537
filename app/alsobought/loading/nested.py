"""Look up the value of a column in a row, also inside nested JSON. Pure.

A column is a name, a path (`ecommerce.transaction_id`) or alternatives (`Variant SKU|SKU`: the first
that is not empty). A list of `{key, value}` objects, as GA4 has, is looked up by its keys. A cell of CSV
may hold JSON as text.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from alsobought.loading.cells import is_empty


def is_plain(column: str) -> bool:
    """True for a name without a path and alternatives."""
    return "|" not in column and "." not in column


def look_up(row: Mapping[str, Any], column: str) -> Any:
    """
    >>> look_up({"a": "", "b": {"c": 2}}, "a|b.c")
    2
    >>> look_up({"params": [{"key": "page", "value": {"string_value": None, "int_value": 7}}]}, "params.page")
    7
    """
    if column in row:
        return row[column]
    if "|" in column:
        values = (look_up(row, alternative) for alternative in column.split("|"))
        return next((value for value in values if not is_empty(value)), None)
    name, dot, rest = column.partition(".")
    return _inside(row.get(name), rest) if dot else None


def _inside(value: Any, path: str) -> Any:
    if isinstance(value, str) and value[:1] in ("{", "["):
        value = _parsed(value)
    if isinstance(value, Mapping):
        return look_up(value, path)
    if isinstance(value, list):
        name, _, rest = path.partition(".")
        for pair in value:
            if isinstance(pair, Mapping) and pair.get("key") == name:
                typed = pair.get("value")
                if isinstance(typed, Mapping) and not rest:
                    return next((one for one in typed.values() if one is not None), None)
                return _inside(typed, rest) if rest else typed
    return None


def _parsed(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


def roots(column: str) -> set[str]:
    """The columns that a column reads, of which one must be there.

    >>> sorted(roots("Variant SKU|ecommerce.sku"))
    ['Variant SKU', 'Variant SKU|ecommerce.sku', 'ecommerce', 'ecommerce.sku']
    """
    alternatives = column.split("|")
    return {column, *alternatives, *(alternative.partition(".")[0] for alternative in alternatives)}


def named(column: str) -> str:
    """
    >>> named("Variant SKU|SKU")
    "'Variant SKU' or 'SKU'"
    """
    return " or ".join(map(repr, column.split("|")))


def is_there(column: str, names: Collection[str]) -> bool:
    return not roots(column).isdisjoint(names)
