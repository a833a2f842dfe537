"""Column mapping: which column of a file becomes which field, by flags of `alsobought load`. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from msgspec import inspect

from alsobought.errors import Unusable
from alsobought.events import Event
from alsobought.items import Item

KINDS: Mapping[str, type[Event] | type[Item]] = {"events": Event, "items": Item}
REST_FIELDS = {"events": "properties", "items": "attributes"}  # where --keep-rest puts other columns


@dataclass(frozen=True)
class ColumnMapping:
    """The flags of a load.

    `mapped` is {field: column}, `constants` {field: text of the value in every row}.
    """

    mapped: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    keep_rest: bool = False
    epoch: str = ""

    @property
    def is_identity(self) -> bool:
        """True if no column mapping is needed."""
        return self == ColumnMapping()


@cache
def fields_of(kind: str) -> dict[str, inspect.Type]:
    """{field: the type of its values}, without null."""
    info: Any = inspect.type_info(KINDS[kind])
    return {field_info.name: _value_type(field_info.type) for field_info in info.fields}


def _value_type(field_type: inspect.Type) -> inspect.Type:
    if not isinstance(field_type, inspect.UnionType):
        return field_type
    return next(one for one in field_type.types if not isinstance(one, inspect.NoneType))


def targets(fields: Iterable[str], columns: ColumnMapping) -> dict[str, list[str]]:
    """{column: the fields it becomes}, for columns that are mapped or have the name of a field."""
    by_column: dict[str, list[str]] = {}
    for name in fields:
        column = columns.mapped.get(name, name)
        if name not in columns.constants and not (column == name and name in columns.dropped):
            by_column.setdefault(column, []).append(name)
    return by_column


def check_columns(file: str, kind: str, names: Collection[str], columns: ColumnMapping, *, complete: bool) -> None:
    """Raises Unusable if columns and flags do not fit.

    `complete`: the file can have no columns but these.
    """
    fields = fields_of(kind)
    by_column = targets(fields, columns)
    listed = ", ".join(names) or "none"
    for flag, required in (("--map", columns.mapped.values()), ("--drop", columns.dropped)):
        for column in required if complete else ():
            if column not in names:
                raise Unusable(f"{flag}: {file} has no column {column!r}", f"It has {listed}")
    unknown = [name for name in names if name not in by_column and name not in columns.dropped]
    if unknown and not columns.keep_rest:
        raise Unusable(*_unknown_columns(file, kind, unknown, columns))
    filled = {target for name in names for target in by_column.get(name, ())} | {*columns.constants}
    needed = [("event_type",), ("item_id",), ("user_id", "session_id")] if kind == "events" else [("item_id",)]
    for alternatives in needed if complete and names else ():
        if not filled.intersection(alternatives):
            name = alternatives[0]
            hint = f"It has {listed}; pass --map {name}=COLUMN, or --set {name}=VALUE for every row"
            raise Unusable(f"{file} has no column {' or '.join(alternatives)}", hint)


def _unknown_columns(file: str, kind: str, unknown: list[str], columns: ColumnMapping) -> tuple[str, str]:
    """Message and hint, with the nearest field of each column."""
    free = [name for name in fields_of(kind) if name not in columns.mapped and name not in columns.constants]
    nearest = {name: difflib.get_close_matches(name.lower(), free, n=1, cutoff=0.5) for name in unknown}
    maps = [f"--map {matches[0]}={name}" for name, matches in nearest.items() if matches]
    verb = "are not fields" if len(unknown) > 1 else "is not a field"
    hint = f"Pass {' '.join(maps)} if that is right, " if maps else "Pass --map FIELD=COLUMN if it is a field, "
    hint += f"--keep-rest to keep it under {REST_FIELDS[kind]}, or --drop {unknown[0]} to leave it out"
    return f"{file}: {', '.join(map(repr, unknown))} {verb} of {kind}", hint
