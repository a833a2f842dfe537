"""Column mapping: which column of a file becomes which field, by flags of `alsobought load`. Pure."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from msgspec import inspect

from alsobought.errors import Unusable
from alsobought.events import NO_TEXTS, Event
from alsobought.items import TITLE_IN, Item
from alsobought.loading.conditions import condition_of
from alsobought.loading.nested import is_there, named
from alsobought.loading.time_cells import NUMBER
from alsobought.placeholders import Texts
from alsobought.users import FILE, NAME, User

KINDS: Mapping[str, type[Event] | type[Item] | type[User]] = {"events": Event, "items": Item, "users": User}
REST_FIELDS = {
    "events": "properties",
    "items": "attributes",
    "users": "attributes",
}  # where --keep-rest puts other columns
NEEDED: Mapping[str, Sequence[tuple[str, ...]]] = {
    "events": [("event_type",), ("item_id",), ("user_id", "session_id")],
    "items": [("item_id",)],
    "users": [("user_id",)],
}


@dataclass(frozen=True)
class ColumnMapping:
    """The flags of a load, as they are written.

    `mapped` is {field: column}, `constants` {field: text of the value in every row}, `values`
    {field: {value in the file: value}}. `optional` are columns and conditions of a preset that a file
    may lack.
    """

    mapped: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    keep_rest: bool = False
    drop_rest: bool = False
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    where: tuple[str, ...] = ()
    fill_down: tuple[str, ...] = ()
    fill_within: str = ""
    each: str = ""
    lists: Mapping[str, str] = field(default_factory=dict)
    category_separator: str = ""
    convert: bool = False
    decimal: str = ""
    thousands: str = ""
    epoch: str = ""
    time_format: str = ""
    time_zone: str = ""
    optional: frozenset[str] = frozenset()

    @property
    def is_identity(self) -> bool:
        """True if no column mapping is needed."""
        return self == ColumnMapping()


@cache
def fields_of(kind: str) -> dict[str, inspect.Type]:
    """{field: the type of its values}, without null."""
    info: Any = inspect.type_info(KINDS[kind])
    return {field_info.name: _value_type(field_info.type) for field_info in info.fields}


def fields_for(kind: str, columns: ColumnMapping) -> dict[str, inspect.Type]:
    """The fields that the flags can name: any attribute of a user is one."""
    named = [*columns.mapped, *columns.constants, *columns.values, *columns.lists] if kind == "users" else []
    return fields_of(kind) | {name: inspect.AnyType() for name in named if is_attribute(name)}


def is_attribute(name: str) -> bool:
    return name not in fields_of("users") and NAME.fullmatch(name) is not None


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


def check_columns(
    file: str,
    kind: str,
    names: Collection[str],
    columns: ColumnMapping,
    listed: Texts = NO_TEXTS,
    *,
    complete: bool,
) -> None:
    """Raises Unusable if columns and flags do not fit. `listed` are attributes of users, which need no flag.

    `complete`: the file can have no columns but these.
    """
    by_column = targets(fields_for(kind, columns), columns)
    if complete:
        _check_flags(file, names, columns)
    used = {name for name in names if any(is_there(column, (name,)) for column in by_column)}
    unknown = [
        name for name in names if name not in used and name not in columns.dropped and name != (columns.each or None)
    ]
    if kind == "items":
        unknown = [name for name in unknown if not TITLE_IN.fullmatch(name)]
    if kind == "users":
        unknown = [name for name in unknown if name not in listed]
    if unknown and not columns.keep_rest and not columns.drop_rest:
        raise Unusable(*_unknown_columns(file, kind, unknown, columns))
    filled = {target for column, fields in by_column.items() if is_there(column, names) for target in fields}
    for alternatives in NEEDED[kind] if complete and names else ():
        if not (filled | {*columns.constants}).intersection(alternatives):
            name = alternatives[0]
            hint = f"It has {_listed(names)}; pass --map {name}=COLUMN, or --set {name}=VALUE for every row"
            raise Unusable(f"{file} has no column {' or '.join(alternatives)}", hint)


def _check_flags(file: str, names: Collection[str], columns: ColumnMapping) -> None:
    """Raises Unusable for a flag with a column that the file does not have."""
    within = [columns.fill_within] if columns.fill_within else []
    each = [columns.each] if columns.each else []
    for flag, required in (
        ("--map", columns.mapped.values()),
        ("--drop", columns.dropped),
        ("--where", [condition_of(text).column for text in columns.where]),
        ("--fill-down", columns.fill_down),
        ("--fill-within", within),
        ("--each", each),
    ):
        for column in required:
            if not is_there(column, names) and column not in columns.optional:
                raise Unusable(f"{flag}: {file} has no column {named(column)}", f"It has {_listed(names)}")


def _listed(names: Collection[str]) -> str:
    return ", ".join(name or "''" for name in names) or "none"


def _unknown_columns(file: str, kind: str, unknown: list[str], columns: ColumnMapping) -> tuple[str, str]:
    """Message and hint, with the nearest field of each column."""
    free = [name for name in fields_of(kind) if name not in columns.mapped and name not in columns.constants]
    nearest = {name: difflib.get_close_matches(name.lower(), free, n=1, cutoff=0.5) for name in unknown}
    maps = [f"--map {shlex.quote(f'{matches[0]}={name}')}" for name, matches in nearest.items() if matches]
    verb = "are not fields" if len(unknown) > 1 else "is not a field"
    if kind == "users":
        verb = (
            f"{'are' if len(unknown) > 1 else 'is'} not listed in {FILE}, so that no personal data is stored by chance"
        )
        hint = f"Pass --drop {shlex.quote(unknown[0])} to leave it out, --map ATTRIBUTE={shlex.quote(unknown[0])} to store it"
        return (
            f"{file}: {', '.join(map(repr, unknown))} {verb}",
            f"{hint}, or --drop-rest or --keep-rest for all of them",
        )
    hint = f"Pass {' '.join(maps)} if that is right, " if maps else "Pass --map FIELD=COLUMN if it is a field, "
    hint += f"--keep-rest to keep it under {REST_FIELDS[kind]}, or --drop {shlex.quote(unknown[0])} to leave it out"
    if len(unknown) > 1:
        hint += "; --drop-rest leaves out all of them"
    if any(NUMBER.fullmatch(name) for name in unknown):
        hint += "; if the first line is not a header, name its columns with --columns A,B,C"
    return f"{file}: {', '.join(map(repr, unknown))} {verb} of {kind}", hint
