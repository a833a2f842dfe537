"""Recompute a count table from `events` with its SELECT of sql/checks/, and compare the rows.

The SELECT of a check returns rows that merge like those of its table; one row an event is enough.
So a check stays simple, and counts in another way than the view. One statement compares only some
of the keys: see Slots.

Where raw events have expired, only rows that the remaining events determine are compared
(`counts.retention_horizon`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import msgspec

from alsobought.counts.retention_horizon import comparable
from alsobought.storage.count_tables import CountTable
from alsobought.storage.results import plain_type
from alsobought.storage.warehouse import Warehouse

SLOTS = 10_000
ROWS_PER_STEP = 4_000_000  # of a table or of events, compared in one statement: about 1 GB
SPILL_BYTES = 2_000_000_000  # above this a statement continues on disk
WORST_SHOWN = 5
MAX_SAFE_INTEGER = 2**53


@dataclass(frozen=True)
class Slots:
    """The keys whose hash plus `shift` is in a slot from `first` to before `end`, of 10,000.

    >>> Slots().parts(3)[1]
    Slots(first=3333, end=6666, shift=0)
    >>> Slots(0, 100, 7).condition("item_key")
    '(cityHash64(item_key) % 10000 + 7) % 10000 < 100'
    """

    first: int = 0
    end: int = SLOTS
    shift: int = 0

    @property
    def all(self) -> bool:
        return self.end - self.first == SLOTS

    @property
    def is_small(self) -> bool:
        """True if it pays to find the groups with any of these keys first."""
        return self.end - self.first <= SLOTS // 20

    def parts(self, number: int) -> list[Slots]:
        """The same keys in `number` parts, or in one part a slot if there are fewer slots."""
        width = self.end - self.first
        number = min(number, width)
        bounds = [self.first + width * nth // number for nth in range(number + 1)]
        return [Slots(first, end, self.shift) for first, end in itertools.pairwise(bounds)]

    def condition(self, key: str) -> str:
        if self.all:
            return "true"
        slot = f"(cityHash64({key}) % {SLOTS} + {self.shift}) % {SLOTS}"
        return f"{slot} >= {self.first} and {slot} < {self.end}" if self.first else f"{slot} < {self.end}"


class Difference(msgspec.Struct, frozen=True):
    """A wrong row: its values in the table and in the recompute, None where it is missing."""

    key: dict[str, Any]
    table: dict[str, Any] | None
    events: dict[str, Any] | None


class Comparison(msgspec.Struct):
    """The number of rows compared, the number of wrong ones, and the worst of them.

    Where events have expired, `since` is the time from which rows could be compared; `note` says
    what else was left out.
    """

    table: str
    compared: bool = True
    rows: int = 0
    wrong: int = 0
    worst: list[Difference] = []
    since: datetime | None = None
    note: str = ""


class Checks:
    """The checks of a folder on the tables of one database: the warehouse's own, or a snapshot.

    `horizon` is the seq from which all events exist, 0 if none ever expired.
    """

    def __init__(self, warehouse: Warehouse, database: str, folder: Path, horizon: int = 0) -> None:
        self._warehouse, self._database, self._horizon = warehouse, database, horizon
        self.names = sorted(path.stem for path in folder.glob("*.sql"))
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder),
            undefined=jinja2.StrictUndefined,
            autoescape=False,  # noqa: S701
        )

    def comparison(self, table: CountTable) -> Comparison:
        """A comparison without rows yet: from when rows can be compared, or why none can."""
        if table.name not in self.names:
            return Comparison(table.name, compared=False, note=f"there is no sql/checks/{table.name}.sql")
        limits = comparable(table, self._database, self._horizon)
        return Comparison(table.name, compared=limits.compared, since=limits.since, note=limits.note)

    def steps(self, table: CountTable, slots: Slots) -> list[Slots]:
        """The parts in which a table is compared, to bound memory; none if it cannot be."""
        if not self.comparison(table).compared:
            return []
        counts = (f"(select count() from {self._database}.{name})" for name in (table.name, "events"))
        rows = int(self._warehouse.trusted_rows(f"select greatest({', '.join(counts)})").data[0][0])
        return slots.parts(1 + rows * (slots.end - slots.first) // SLOTS // ROWS_PER_STEP)

    def compare(
        self, table: CountTable, steps: Sequence[Slots], done: Callable[[], None] = lambda: None, threads: int = 0
    ) -> Comparison:
        """Compares one step after another. Calls `done`, which may raise to stop, after each."""
        comparison, worst = self.comparison(table), list[list[Any]]()
        for slots in steps:
            sql = f"{self._sql(table, slots)} settings max_bytes_before_external_group_by = {SPILL_BYTES}"
            sql += f", max_bytes_before_external_sort = {SPILL_BYTES}" + (
                f", max_threads = {threads:d}" if threads else ""
            )
            rows, wrong, worst_of_step = self._warehouse.trusted_rows(sql).data[0]
            comparison.rows += int(rows)
            comparison.wrong += int(wrong)
            worst += worst_of_step
            done()
        comparison.worst = [_difference(table, row) for row in sorted(worst, key=lambda row: row[0])[:WORST_SHOWN]]
        return comparison

    def _sql(self, table: CountTable, slots: Slots) -> str:
        """Rows compared, rows wrong, and the worst.

        Of those: size, keys, in the table?, its values, in the recompute?, its values.
        """
        limits = comparable(table, self._database, self._horizon)
        where = f"{slots.condition(', '.join(table.sample_keys))} and {limits.keys}"
        final = "final" if "any" in table.values.values() else ""
        columns = ", ".join(f"cast({name} as {plain_type(table.types[name])}) as {name}" for name in table.types)
        stored = f"select {columns}, true as in_table from {self._database}.{table.name} {final} where {where}"
        recomputed = f"select {columns}, false as in_table from (\n{self._recompute(table, slots)}\n) where {where}"
        sides = {"table": "in_table", "events": "not in_table"}
        merged = [
            f"{_merge(how)}({name}, {condition}) as {_column(side, name)}"
            for side, condition in sides.items()
            for name, how in table.values.items()
        ]
        for side, condition in sides.items():  # a row of zero sums is no row: it disappears when parts merge
            nonzero = " or ".join(f"{_column(side, name)} != 0" for name in table.values)
            merged.append(f"{nonzero if table.is_summing else f'countIf({condition}) > 0'} as {_column(side, 'there')}")
        unequal = [f"{_column('table', name)} != {_column('events', name)}" for name in [*table.values, "there"]]
        sizes = [
            f"abs(toFloat64({_column('table', n)}) - toFloat64({_column('events', n)}))" for n in table.sum_columns
        ]
        size = " + ".join(sizes) or "0"
        values = [f"({', '.join(_column(side, name) for name in table.values)},)" for side in sides]
        keys = ", ".join(table.keys)
        worst = f"(-({size}), ({keys},), _table_there, {values[0]}, _events_there, {values[1]})"
        return f"""
            select count(), countIf(_wrong), groupArraySortedIf({WORST_SHOWN})({worst}, _wrong)
            from (
                select {keys}, {", ".join(merged)}, {" or ".join(unequal)} as _wrong
                from ({stored} union all {recomputed})
                group by {keys}
                having {limits.merged}
            )
        """

    def _recompute(self, table: CountTable, slots: Slots) -> str:
        template = self._templates.get_template(f"{table.name}.sql")
        return template.render(database=self._database, since=self._horizon, few=slots.is_small, picks=slots.condition)


def _column(side: str, column: str) -> str:
    return f"_{side}_{column}"


def _merge(how: str) -> str:
    """The aggregate function of a column on one side.

    Where the newest row wins ('any'), both sides must have one version.
    """
    return "groupUniqArrayIf" if how == "any" else f"{how}If"


def _difference(table: CountTable, row: Sequence[Any]) -> Difference:
    _, keys, in_table, stored, in_events, recomputed = row
    return Difference(
        dict(zip(table.keys, map(_json_value, keys), strict=True)),
        dict(zip(table.values, map(_json_value, stored), strict=True)) if in_table else None,
        dict(zip(table.values, map(_json_value, recomputed), strict=True)) if in_events else None,
    )


def _json_value(value: Any) -> Any:
    """A value for JSON: integers beyond 2^53 are strings."""
    if isinstance(value, list):
        return _json_value(value[0]) if len(value) == 1 else [_json_value(version) for version in value]
    return str(value) if isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER else value
