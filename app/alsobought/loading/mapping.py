"""Columns of theirs → fields of ours: `--map`, `--set`, `--drop`, `--keep-rest`, and text or Parquet values to our types.

JSON says what type a value has, and is held to it; a cell of CSV or Parquet is converted, and an empty one is not given.
Pure: no file, no clock.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache, partial
from typing import Any

import msgspec
from msgspec import inspect

from alsobought.errors import Unusable
from alsobought.events import Event, Item, Rejected, Rules, event_problem, in_utc, read_events, read_items
from alsobought.loading.readers import Broken, Row

KINDS: Mapping[str, type[Event] | type[Item]] = {"events": Event, "items": Item}
REST = {"events": "properties", "items": "attributes"}  # where columns go that are not ours
EPOCHS = {"s": 1, "ms": 1000}
ENDS_OF_NUMBERS = tuple("0123456789.")
TRUE_FALSE = {"t": True, "yes": True, "y": True, "f": False, "no": False, "n": False}


class Refused(ValueError):
    """A row that cannot be accepted; the text is the problem."""


@dataclass(frozen=True)
class Columns:
    """How the columns of a file become fields. `mapped` is ours → theirs, `constants` ours → text for every row."""

    mapped: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    keep_rest: bool = False
    epoch: str = ""

    @property
    def plain(self) -> bool:
        """Whether rows are ours as they are."""
        return self == Columns()


@cache
def fields_of(kind: str) -> dict[str, inspect.Type]:
    info: Any = inspect.type_info(KINDS[kind])
    return {one.name: one.type for one in info.fields}


def row_reader(
    kind: str, columns: Columns, rules: Rules
) -> Callable[[Sequence[Row]], tuple[list[Event] | list[Item], list[Rejected]]]:
    """The function that reads rows. Raises Unusable for flags that no row could satisfy."""
    converter = Converter(kind, columns, rules)

    def read(rows: Sequence[Row]) -> tuple[list[Event] | list[Item], list[Rejected]]:
        decode = None if columns.plain and all(type(row) is bytes for row in rows) else converter
        return read_events(rows, rules, decode) if kind == "events" else read_items(rows, rules.max_bytes, decode)

    return read


class Converter:
    """One row of a file as one of ours; a row that is refused is a Refused or msgspec's error."""

    def __init__(self, kind: str, columns: Columns, rules: Rules) -> None:
        self._kind, self._columns, self._rules = KINDS[kind], columns, rules
        self._fields, self._rest = fields_of(kind), REST[kind]
        for name in [*columns.mapped, *columns.constants]:
            if name not in self._fields:
                raise Unusable(f"{name} is not a field of {kind}", f"There are {', '.join(self._fields)}")
        if both := sorted({*columns.mapped} & {*columns.constants}):
            raise Unusable(f"{both[0]} is both mapped and set", "Say --map or --set, not both")
        self._targets = targets(self._fields, columns)
        times = partial(moment, epoch=columns.epoch)
        self._loose = {name: times if name == "timestamp" else CELLS[type(one)] for name, one in self._fields.items()}
        self._strict = {"timestamp": lambda value: times(value) if isinstance(value, (int, float)) else value}
        if not columns.epoch:
            self._strict.clear()
        self._constants = self._checked_constants(kind)

    def __call__(self, row: Row) -> Any:
        if isinstance(row, dict):
            if (size := _size(row)) > self._rules.max_bytes:
                raise Refused(f"{size:,} bytes; at most {self._rules.max_bytes:,} are accepted")
            return msgspec.convert(self._fielded(row, self._loose), self._kind, strict=False)
        if isinstance(row, Broken):
            raise Refused(row.problem)
        given = msgspec.json.decode(row)
        if not isinstance(given, dict):
            raise Refused("not an object")
        return msgspec.convert(self._fielded(given, self._strict), self._kind)

    def _fielded(self, given: dict[str, Any], convert: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
        """The fields of a row. `convert` says what is done with the values of a field; cells of its kind may be empty."""
        fields = dict(self._constants)
        rest = {}
        loose = convert is self._loose
        for name, value in given.items():
            if loose and (value == "" or value is None or value != value):  # noqa: PLR0124 - NaN
                continue
            if ours := self._targets.get(name):
                for target in ours:
                    try:
                        fields[target] = convert[target](value) if target in convert else value
                    except Refused as problem:
                        raise Refused(f"{target}: {problem}") from problem
            elif name not in self._columns.dropped:
                rest[name] = value
        if rest:
            fields[self._rest] = self._with_rest(fields.get(self._rest), rest)
        return fields

    def _with_rest(self, own: Any, rest: dict[str, Any]) -> dict[str, Any]:
        if not self._columns.keep_rest:
            raise Refused(f"{next(iter(rest))}: not a field of this object; put your own fields under {self._rest}")
        if own is not None and not isinstance(own, dict):
            raise Refused(f"{self._rest}: expected `object`")
        if self._kind is Item:
            return {**(own or {}), **{name: str(text_of(value)) for name, value in rest.items()}}
        plain: dict[str, Any] = msgspec.to_builtins(rest, enc_hook=str)
        return {**(own or {}), **plain}

    def _checked_constants(self, kind: str) -> dict[str, Any]:
        constants = {}
        for name, value in self._columns.constants.items():
            try:
                constants[name] = self._loose[name](value)
                sample = {"event_type": min(self._rules.event_types), "user_id": "u"} if kind == "events" else {}
                one = msgspec.convert({**sample, "item_id": "i", name: constants[name]}, self._kind, strict=False)
                problem = event_problem(one, self._rules) if isinstance(one, Event) else ""
            except (Refused, msgspec.ValidationError) as error:
                problem = str(error).split(" - at ")[0].removeprefix(f"{name}: ")
            if problem:
                raise Unusable(f"--set {name}={value}: {problem.removeprefix(f'{name}: ')}")
        return constants


def targets(fields: Iterable[str], columns: Columns) -> dict[str, list[str]]:
    """{theirs: ours}: what is mapped, and the columns that already have our names."""
    found: dict[str, list[str]] = {}
    for name in fields:
        theirs = columns.mapped.get(name, name)
        if name not in columns.constants and not (theirs == name and name in columns.dropped):
            found.setdefault(theirs, []).append(name)
    return found


def check_columns(name: str, kind: str, found: Collection[str], columns: Columns, *, whole: bool) -> None:
    """Raises Unusable, before anything is stored, where columns and flags do not fit. `whole`: there are no others."""
    fields = fields_of(kind)
    known = targets(fields, columns)
    listed = ", ".join(found) or "none"
    for flag, wanted in (("--map", columns.mapped.values()), ("--drop", columns.dropped)):
        for theirs in wanted if whole else ():
            if theirs not in found:
                raise Unusable(f"{flag}: {name} has no column {theirs!r}", f"It has {listed}")
    if not columns.keep_rest and (strange := [one for one in found if one not in known and one not in columns.dropped]):
        raise Unusable(*_strange(name, kind, strange, columns))
    given = {ours for theirs in found for ours in known.get(theirs, ())} | {*columns.constants}
    needed = [("event_type",), ("item_id",), ("user_id", "session_id")] if kind == "events" else [("item_id",)]
    for names in needed if whole and found else ():
        if not given.intersection(names):
            hint = f"It has {listed}; say --map {names[0]}=COLUMN, or --set {names[0]}=VALUE for every row"
            raise Unusable(f"{name} has no column {' or '.join(names)}", hint)


def _strange(name: str, kind: str, strange: list[str], columns: Columns) -> tuple[str, str]:
    fields = fields_of(kind)
    free = [one for one in fields if one not in columns.mapped and one not in columns.constants]
    near = {one: difflib.get_close_matches(one.lower(), free, n=1, cutoff=0.5) for one in strange}
    maps = [f"--map {ours[0]}={theirs}" for theirs, ours in near.items() if ours]
    many = "are not fields" if len(strange) > 1 else "is not a field"
    hint = f"Say {' '.join(maps)} if that is what it is, " if maps else "Say --map OURS=THEIRS if it is one of ours, "
    hint += f"--keep-rest to keep it under {REST[kind]}, or --drop {strange[0]} to leave it out"
    return f"{name}: {', '.join(map(repr, strange))} {many} of {kind}", hint


def _size(row: dict[str, Any]) -> int:
    try:
        return sum(map(len, row.values()))
    except TypeError:  # of Parquet
        return sum(len(value) for value in row.values() if isinstance(value, (str, bytes)))


def text_of(value: Any) -> Any:
    """An id as text: 17 and 17.0 are "17", since a column of whole numbers with gaps comes as fractions.

    >>> text_of(17.0), text_of(True), text_of("a")
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
            raise Refused("not UTF-8") from error
    return str(value) if isinstance(value, int) else value


def number_of(value: Any) -> Any:
    """A number; text stays text, for msgspec to read.

    >>> number_of(" 2.50 "), number_of(Decimal("2.5"))
    ('2.50', 2.5)
    """
    if isinstance(value, str):
        value = value.strip()
        if value[-1:] not in ENDS_OF_NUMBERS:  # nan, inf
            raise Refused(f"{value[:100]!r} is not a number")
        return value
    if isinstance(value, (float, Decimal)) and not math.isfinite(value):
        raise Refused(f"{value} is not a number")
    return float(value) if isinstance(value, Decimal) else value


def true_or_false(value: Any) -> Any:
    """Also t and f, as PostgreSQL writes them, and yes and no; msgspec knows the other words."""
    return TRUE_FALSE.get(value.strip().lower(), value.strip()) if isinstance(value, str) else value


def object_of(value: Any) -> Any:
    """An object, from its JSON if it is text."""
    try:
        return msgspec.json.decode(value) if isinstance(value, (str, bytes)) else value
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise Refused(f"not JSON: {problem}") from problem


def numbers_of(value: Any) -> Any:
    """A list of numbers, from its JSON if it is text.

    >>> numbers_of("[0.5, -1]")
    [0.5, -1]
    """
    value = object_of(value)
    if isinstance(value, list) and any(isinstance(one, float) and not math.isfinite(one) for one in value):
        raise Refused("holds what is not a finite number")
    return value


def moment(value: Any, epoch: str = "") -> datetime:
    """A time from ISO text, a date, or, with `epoch`, the seconds or milliseconds since 1970. UTC if it names no zone.

    >>> moment("2026-01-31 12:00:00 UTC")
    datetime.datetime(2026, 1, 31, 12, 0, tzinfo=datetime.timezone.utc)
    >>> moment("1767225600000", "ms")
    datetime.datetime(2026, 1, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if isinstance(value, str) and value[4:5] == "-":
        try:
            found = datetime.fromisoformat(value)
            return in_utc(found)
        except ValueError:
            pass  # said below, if it is a fault
    if isinstance(value, datetime):
        return in_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    text = str(value).strip()
    if re.fullmatch(r"[-+]?\d+(\.\d*)?", text):
        if not epoch:
            raise Refused(f"{text[:100]} is a number; say --epoch s or --epoch ms if it counts from 1970")
        try:
            return datetime.fromtimestamp(float(text) / EPOCHS[epoch], UTC)
        except (ValueError, OverflowError, OSError) as error:
            other = "ms" if epoch == "s" else "s"
            raise Refused(f"{text[:100]} is no time in {epoch}; --epoch {other}?") from error
    try:
        found = datetime.fromisoformat(re.sub(r" ?UTC$", "+00:00", text))
    except ValueError as error:
        raise Refused(f"{text[:100]!r} is not a time like 2026-01-31T12:00:00Z") from error
    return in_utc(found)


CELLS: Mapping[type[inspect.Type], Callable[[Any], Any]] = {
    inspect.StrType: text_of,
    inspect.IntType: number_of,
    inspect.FloatType: number_of,
    inspect.BoolType: true_or_false,
    inspect.DateTimeType: moment,
    inspect.DictType: object_of,
    inspect.ListType: numbers_of,
}
