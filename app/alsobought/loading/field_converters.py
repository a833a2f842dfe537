"""The function that converts a cell to each field, by the type of the field and the flags. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import inspect

from alsobought.loading.cells import CONVERTERS, ID_FIELDS, to_attribute, to_id, to_tags
from alsobought.loading.conditions import plain_text
from alsobought.loading.mapping import ColumnMapping, fields_for
from alsobought.loading.number_cells import NumberStyle, to_number, to_whole_number
from alsobought.loading.time_cells import TimeStyle, to_time, zone_of

Converter = Callable[[Any], Any]


def converters_of_cells(kind: str, columns: ColumnMapping) -> dict[str, Converter]:
    """{field: its converter}. One that returns an empty text gives no value."""
    numbers = NumberStyle(columns.decimal, columns.thousands)
    times = TimeStyle(columns.epoch, columns.time_format, zone_of(columns.time_zone))
    return {
        name: _with_flags(name, _by_type(name, field_type, numbers, times), columns)
        for name, field_type in fields_for(kind, columns).items()
    }


def converters_of_json(cells: Mapping[str, Converter], columns: ColumnMapping) -> dict[str, Converter]:
    """Of JSON only times are converted, and values that flags are about."""
    names = {*columns.values, *columns.lists}
    if columns.category_separator:
        names.add("category")
    converters = {name: cells[name] for name in names}
    if "timestamp" in cells:
        converters["timestamp"] = partial(_time_of_json, convert=cells["timestamp"], epoch=bool(columns.epoch))
    return converters


def _by_type(name: str, field_type: inspect.Type, numbers: NumberStyle, times: TimeStyle) -> Converter:
    if isinstance(field_type, inspect.DateTimeType):
        return lambda value: to_time(value, times)
    if isinstance(field_type, inspect.FloatType):
        return lambda value: to_number(value, numbers)
    if isinstance(field_type, inspect.IntType):
        return lambda value: to_whole_number(value, numbers)
    if name == "tags":
        return to_tags
    if isinstance(field_type, inspect.AnyType):
        return to_attribute
    return to_id if name in ID_FIELDS else CONVERTERS[type(field_type)]


def _with_flags(name: str, convert: Converter, columns: ColumnMapping) -> Converter:
    """The converter after --list, --category-separator and --map-value."""
    is_category = name == "category"
    separator = columns.category_separator if is_category else ""
    if separator or name in columns.lists:
        part = partial(_part, of_list=columns.lists.get(name, ""), separator=separator, deepest=is_category)
        convert = partial(_converted_part, part=part, convert=convert)
    values = {plain_text(old): new for old, new in columns.values.get(name, {}).items()}
    return partial(_mapped_value, values=values, convert=convert) if values else convert


def _time_of_json(value: Any, convert: Converter, *, epoch: bool) -> Any:
    """Without --epoch, the size of a number shows its unit."""
    return convert(value) if isinstance(value, str) or (epoch and isinstance(value, (int, float))) else value


def _mapped_value(value: Any, values: Mapping[str, str], convert: Converter) -> Any:
    new = values.get(plain_text(value))
    return convert(value) if new is None else new and convert(new)


def _converted_part(value: Any, part: Callable[[str], str], convert: Converter) -> Any:
    if isinstance(value, str):
        value = part(value)
    return value and convert(value)


def _part(text: str, of_list: str, separator: str, *, deepest: bool) -> str:
    """One value of a list, and a category as a path with `/`.

    >>> _part("Sale, Home > Lamps", ",", ">", deepest=True)
    'Home/Lamps'
    """
    parts = text.split(of_list) if of_list else [text]
    if separator:
        parts = ["/".join(level.strip() for level in part.split(separator) if level.strip()) for part in parts]
    parts = [part.strip() for part in parts if part.strip()] or [""]
    return max(parts, key=lambda part: part.count("/")) if deepest else parts[0]
