"""Convert rows of a file to events or items by a column mapping. Pure.

JSON values must have the type of their field. Cells of CSV and Parquet are converted (`cells`), and
an empty cell means that the field is not given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from alsobought.errors import Unusable
from alsobought.events import Event, Rejected, Rules, event_of, event_problem, read_events
from alsobought.items import Item, item_of, read_items
from alsobought.loading.cells import CONVERTERS, RejectedRow, to_text, to_time
from alsobought.loading.files import Malformed, Row
from alsobought.loading.mapping import KINDS, REST_FIELDS, ColumnMapping, fields_of, targets


def row_reader(
    kind: str, columns: ColumnMapping, rules: Rules
) -> Callable[[Sequence[Row]], tuple[list[Event] | list[Item], list[Rejected]]]:
    """The function that reads rows. Raises Unusable for flags that no row can satisfy."""
    converter = RowConverter(kind, columns, rules)

    def read(rows: Sequence[Row]) -> tuple[list[Event] | list[Item], list[Rejected]]:
        decode = None if columns.is_identity and all(type(row) is bytes for row in rows) else converter
        if kind == "events":
            return read_events(rows, rules, decode)
        return read_items(rows, rules.max_bytes, decode, rules.placeholders)

    return read


class RowConverter:
    """Converts one row at a time.

    Raises RejectedRow or an error of msgspec for a row that cannot be accepted.
    """

    def __init__(self, kind: str, columns: ColumnMapping, rules: Rules) -> None:
        self._kind, self._columns, self._rules = KINDS[kind], columns, rules
        self._fields, self._rest_field = fields_of(kind), REST_FIELDS[kind]
        for name in [*columns.mapped, *columns.constants]:
            if name not in self._fields:
                raise Unusable(f"{name} is not a field of {kind}", f"The fields are {', '.join(self._fields)}")
        if both := sorted({*columns.mapped} & {*columns.constants}):
            raise Unusable(f"{both[0]} is both mapped and set", "Pass --map or --set, not both")
        self._targets = targets(self._fields, columns)
        time = partial(to_time, epoch=columns.epoch)
        self._cell_converters = {
            name: time if name == "timestamp" else CONVERTERS[type(field_type)]
            for name, field_type in self._fields.items()
        }
        self._json_converters: dict[str, Callable[[Any], Any]] = {}
        if columns.epoch:
            self._json_converters["timestamp"] = lambda value: time(value) if isinstance(value, (int, float)) else value
        self._constants = self._checked_constants(kind)

    def __call__(self, row: Row) -> Any:
        if isinstance(row, dict):
            if (size := _size(row)) > self._rules.max_bytes:
                raise RejectedRow(f"{size:,} bytes; at most {self._rules.max_bytes:,} are accepted")
            return msgspec.convert(self._to_fields(row, self._cell_converters), self._kind, strict=False)
        if isinstance(row, Malformed):
            raise RejectedRow(row.problem)
        value = msgspec.json.decode(row)
        if not isinstance(value, dict):
            raise RejectedRow("not an object")
        fields = self._to_fields(value, self._json_converters)
        return event_of(fields) if self._kind is Event else item_of(fields)

    def _to_fields(self, row: dict[str, Any], converters: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
        """{field: value} of a row. Empty values are left out if the row has cells, not JSON."""
        fields = dict(self._constants)
        rest = {}
        has_cells = converters is self._cell_converters
        for name, value in row.items():
            if has_cells and (value == "" or value is None or value != value):  # noqa: PLR0124 - NaN
                continue
            if names := self._targets.get(name):
                for target in names:
                    try:
                        fields[target] = converters[target](value) if target in converters else value
                    except RejectedRow as error:
                        raise RejectedRow(f"{target}: {error}") from error
            elif name not in self._columns.dropped:
                rest[name] = value
        if rest:
            fields[self._rest_field] = self._with_rest(fields.get(self._rest_field), rest)
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
                sample = msgspec.convert({**minimal, "item_id": "i", name: constants[name]}, self._kind, strict=False)
                problem = event_problem(sample, self._rules) if isinstance(sample, Event) else ""
            except (RejectedRow, msgspec.ValidationError) as error:
                problem = str(error).split(" - at ")[0].removeprefix(f"{name}: ")
            if problem:
                raise Unusable(f"--set {name}={value}: {problem.removeprefix(f'{name}: ')}")
        return constants


def _size(row: dict[str, Any]) -> int:
    try:
        return sum(map(len, row.values()))
    except TypeError:  # Parquet has other types than text
        return sum(len(value) for value in row.values() if isinstance(value, (str, bytes)))
