"""Convert rows of a file to events, items or users by a column mapping. Pure.

JSON values must have the type of their field, unless `convert` is set. Cells of CSV and Parquet are
converted (`cells`), and an empty cell means that the field is not given. Only a time is never left out
where a file has one: the event would be dated now.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from alsobought.errors import Unusable
from alsobought.events import Event, Rejected, Rules, bot_of, event_of, event_problem, read_events, with_pieces
from alsobought.formats.reading import FORMATS as CALL_FORMATS
from alsobought.formats.reading import Format, read_objects
from alsobought.items import TITLE_IN, Item, item_of, read_items
from alsobought.loading.cells import is_empty, to_attribute, to_text
from alsobought.loading.field_converters import Converter, converters_of_cells, converters_of_json
from alsobought.loading.files import Malformed, Row
from alsobought.loading.mapping import KINDS, REST_FIELDS, ColumnMapping, fields_for, is_attribute, targets
from alsobought.loading.nested import is_plain, look_up, roots
from alsobought.loading.rejected_row import RejectedRow
from alsobought.users import FILE, User, attribute_problem, read_users, user_of

NULL_TIME = re.compile(rb'"timestamp"\s*:\s*null')


@dataclass
class ReadRows:
    """The events, items or users of rows, and the index of the row of each; rejected rows; the number of those that were skipped,
    and of events of bots.
    """

    accepted: list[Any]
    indexes: list[int]
    rejected: list[Rejected]
    skipped: int = 0
    dropped: int = 0


def row_reader(
    kind: str, columns: ColumnMapping, rules: Rules, file_format: str = ""
) -> Callable[[Sequence[Row]], ReadRows]:
    """The function that reads rows. Raises Unusable for flags that no row can satisfy."""
    converter = RowConverter(kind, columns, rules)
    calls = CALL_FORMATS.get(file_format)
    if calls and (kind != "events" or not columns.is_identity):
        raise Unusable(f"--format {file_format} is for events, without flags for columns", "Leave the other flags out")

    def read(rows: Sequence[Row]) -> ReadRows:
        is_plain = columns.is_identity and kind != "users" and all(map(_is_decoded, rows))
        if kind == "events" and is_plain:
            return _read_objects(cast(Sequence[bytes], rows), rules, calls)
        decode = None if is_plain else converter
        accepted = _READ[kind](rows, rules, decode)
        rejected = {reject.index for reject in accepted[1]}
        indexes = [index for index in range(len(rows)) if index not in rejected]
        read = ReadRows(accepted[0], indexes, accepted[1])
        return _without_bots(read, rules) if kind == "events" else read

    return read


def _without_bots(read: ReadRows, rules: Rules) -> ReadRows:
    of_people = [
        (event, index) for event, index in zip(read.accepted, read.indexes, strict=True) if not bot_of(event, rules)
    ]
    dropped = len(read.accepted) - len(of_people)
    return ReadRows(
        [event for event, _ in of_people], [index for _, index in of_people], read.rejected, dropped=dropped
    )


_READ: Mapping[str, Callable[[Sequence[Row], Rules, Any], tuple[list[Any], list[Rejected]]]] = {
    "events": read_events,
    "items": lambda rows, rules, decode: read_items(rows, rules.max_bytes, decode, rules.placeholders),
    "users": lambda rows, rules, decode: read_users(rows, rules.max_bytes, rules.now, decode, rules.placeholders),
}


def _is_decoded(row: Row) -> bool:
    """True for JSON that is decoded straight to its type; a time that is null is left to the converter, to be rejected."""
    return type(row) is bytes and not (b"null" in row and NULL_TIME.search(row))


def _read_objects(rows: Sequence[bytes], rules: Rules, calls: Format | None) -> ReadRows:
    """A row in a format of an analytics tool may have several events, or none. Merges are skipped."""
    read = ReadRows([], [], [])
    for index, decoded in enumerate(read_objects(rows, rules, calls)):
        if isinstance(decoded, str):
            read.rejected.append(Rejected(index, decoded))
        else:
            read.accepted += decoded.events
            read.indexes += [index] * len(decoded.events)
            read.skipped += not (decoded.events or decoded.dropped)
            read.dropped += len(decoded.dropped)
    return read


class RowConverter:
    """Converts one row at a time.

    Raises RejectedRow or an error of msgspec for a row that cannot be accepted.
    """

    def __init__(self, kind: str, columns: ColumnMapping, rules: Rules) -> None:
        self._kind, self._columns, self._rules = KINDS[kind], columns, rules
        self._fields, self._rest_field = fields_for(kind, columns), REST_FIELDS[kind]
        _check_fields(kind, columns)
        by_column = targets(self._fields, columns)
        self._targets = {column: names for column, names in by_column.items() if is_plain(column)}
        self._looked_up = {
            name: column for column, names in by_column.items() if not is_plain(column) for name in names
        }
        self._used = {root for column in self._looked_up.values() for root in roots(column)}
        if columns.each:
            self._used.add(columns.each)
        self._time_columns = {"timestamp"} if kind == "events" and "timestamp" not in columns.dropped else set()
        self._of_empty = {name for name, values in columns.values.items() if "" in values}
        self._may_be_empty = {*columns.values, *columns.lists, *(["category"] if columns.category_separator else [])}
        self._cell_converters = converters_of_cells(kind, columns)
        self._json_converters = converters_of_json(self._cell_converters, columns)
        self._constants = self._checked_constants(kind)

    def __call__(self, row: Row) -> Any:
        if isinstance(row, dict):
            if (size := _size(row)) > self._rules.max_bytes:
                raise RejectedRow(f"{size:,} bytes; at most {self._rules.max_bytes:,} are accepted")
            return self._of_cells(self._to_fields(row, self._cell_converters))
        if isinstance(row, Malformed):
            raise RejectedRow(row.problem)
        value = msgspec.json.decode(row)
        if not isinstance(value, dict):
            raise RejectedRow("not an object")
        if self._columns.convert:
            return self._of_cells(self._to_fields(value, self._cell_converters))
        fields = self._to_fields(value, self._json_converters)
        return _OF_FIELDS[self._kind](fields)

    def _of_cells(self, fields: dict[str, Any]) -> Any:
        own = with_pieces(fields) if self._kind is Event else fields
        return msgspec.convert(own, self._kind, strict=False)

    def _to_fields(self, row: dict[str, Any], converters: Mapping[str, Converter]) -> dict[str, Any]:
        """{field: value} of a row. Empty values are left out if the row has cells, not JSON."""
        fields = dict(self._constants)
        rest = {}
        has_cells = converters is self._cell_converters
        for name, value in row.items():
            if type(value) is str and has_cells:
                is_missing = not value or value.isspace()
            else:
                is_null = value is None and (has_cells or self._kind is Event)  # null clears a field of an item
                is_missing = is_null or (has_cells and value != value)  # noqa: PLR0124 - NaN
            if names := self._targets.get(name):
                for target in names:
                    if not is_missing or target in self._of_empty:
                        fields[target] = _converted(target, value, converters)
            elif self._kind is Item and TITLE_IN.fullmatch(name):
                fields |= _with_title(fields, name, value) if not is_missing else {}
            elif name not in self._columns.dropped and name not in self._used and not (has_cells and is_missing):
                rest[name] = value
        for target, column in self._looked_up.items():
            value = look_up(row, column)
            if not is_empty(value) or target in self._of_empty:
                fields[target] = _converted(target, value, converters)
        if self._kind is User:
            return self._with_attributes(fields, rest, has_cells=has_cells)
        if rest and not self._columns.drop_rest:
            fields[self._rest_field] = self._with_rest(fields.get(self._rest_field), rest)
        return self._without_empty(fields, row)

    def _with_attributes(self, fields: dict[str, Any], rest: dict[str, Any], *, has_cells: bool) -> dict[str, Any]:
        """The fields of a user. Other columns are attributes if they are listed, or with --keep-rest."""
        own = fields.get("attributes") or {}
        if not isinstance(own, dict):
            raise RejectedRow("attributes: expected `object`")
        attributes = {**own, **{name: fields.pop(name) for name in list(fields) if is_attribute(name)}}
        for name, value in rest.items():
            if self._columns.keep_rest or name in self._rules.attributes:
                attributes[name] = _converted(name, value, {name: to_attribute}) if has_cells else value
            elif not self._columns.drop_rest:
                raise RejectedRow(f"{name}: not listed in {FILE}; pass --keep-rest, or --drop {name}")
        return {**fields, "attributes": attributes} if attributes else fields

    def _without_empty(self, fields: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """The fields with values. Raises RejectedRow if the row has a column for the time, and no time."""
        for target in self._may_be_empty:
            if fields.get(target) == "":
                del fields[target]
        if "timestamp" not in fields and (
            "timestamp" in self._columns.mapped or not self._time_columns.isdisjoint(row)
        ):
            column = self._columns.mapped.get("timestamp", "timestamp")
            hint = f"; pass --fill-down '{column}' if it is that of the row above" if is_plain(column) else ""
            raise RejectedRow(f"timestamp: {column!r} is empty{hint}")
        return fields

    def _with_rest(self, own: Any, rest: dict[str, Any]) -> dict[str, Any]:
        if not self._columns.keep_rest:
            name = next(iter(rest))
            raise RejectedRow(f"{name}: not a field of this object; put your own fields under {self._rest_field}")
        if own is not None and not isinstance(own, dict):
            raise RejectedRow(f"{self._rest_field}: expected `object`")
        if self._kind is Item:
            return {**(own or {}), **{name: str(to_text(value)) for name, value in rest.items()}}
        plain: dict[str, Any] = msgspec.to_builtins(rest, enc_hook=str)
        return {**(own or {}), **plain}

    def _checked_constants(self, kind: str) -> dict[str, Any]:
        """The values of --set, each tried in a minimal event or item. Raises Unusable."""
        constants = {}
        for name, value in self._columns.constants.items():
            try:
                constants[name] = self._cell_converters[name](value)
                minimal = {"event_type": min(self._rules.event_types), "user_id": "u"} if kind == "events" else {}
                if kind == "users":
                    sample = {"user_id": "u", **({"attributes": {}} if is_attribute(name) else {name: constants[name]})}
                else:
                    sample = {**minimal, "item_id": "i", name: constants[name]}
                converted = msgspec.convert(sample, self._kind, strict=False)
                problem = event_problem(converted, self._rules) if isinstance(converted, Event) else ""
                problem = (
                    attribute_problem(name, constants[name]) if is_attribute(name) and kind == "users" else problem
                )
            except (RejectedRow, msgspec.ValidationError) as error:
                problem = str(error).split(" - at ")[0].removeprefix(f"{name}: ")
            if problem:
                raise Unusable(f"--set {name}={value}: {problem.removeprefix(f'{name}: ')}")
        return constants


def _with_title(fields: Mapping[str, Any], column: str, title: Any) -> dict[str, Any]:
    """The titles with the one of a column such as title.de."""
    return {"titles": {**fields.get("titles", {}), column.partition(".")[2]: title}}


_OF_FIELDS: Mapping[type, Callable[[dict[str, Any]], Any]] = {Event: event_of, Item: item_of, User: user_of}


def _check_fields(kind: str, columns: ColumnMapping) -> None:
    """Raises Unusable for flags that name what is not a field."""
    fields = fields_for(kind, columns)
    for name in [*columns.mapped, *columns.constants, *columns.values, *columns.lists]:
        if name not in fields:
            raise Unusable(f"{name} is not a field of {kind}", f"The fields are {', '.join(fields)}")
    if both := sorted({*columns.mapped} & {*columns.constants}):
        raise Unusable(f"{both[0]} is both mapped and set", "Pass --map or --set, not both")


def _converted(target: str, value: Any, converters: Mapping[str, Converter]) -> Any:
    convert = converters.get(target)
    try:
        return convert(value) if convert else value
    except RejectedRow as error:
        raise RejectedRow(f"{target}: {error}") from error


def _size(row: dict[str, Any]) -> int:
    try:
        return sum(map(len, row.values()))
    except TypeError:  # Parquet has other types than text
        return sum(len(value) for value in row.values() if isinstance(value, (str, bytes)))
