"""A count table beside a recompute from `events`: sql/checks/ says what the events give, here both sides are merged and compared.

A check's SELECT gives rows that merge like those of its table: one for each event is enough. It says no more than that, so it
stays another way of counting than the view. Only some keys are looked at in one statement: see Slots.

Where raw events have expired, only those rows are compared that the others tell for sure (`counts.retention_horizon`).
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

from alsobought.counts.retention_horizon import sure
from alsobought.storage.count_tables import CountTable
from alsobought.storage.results import plain_type
from alsobought.storage.warehouse import Warehouse

SLOTS = 10_000
ROWS = 4_000_000  # of a table or of events, compared in one statement: about 1 GB
SPILL = 2_000_000_000  # bytes above which a statement goes on on disk
WORST = 5
SAFE_INTEGER = 2**53


@dataclass(frozen=True)
class Slots:
    """The keys whose hash, moved by `shift`, falls into slots `first` up to and without `end`, of 10,000.

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
    def few(self) -> bool:
        """Whether it pays to look first which groups hold any of these keys."""
        return self.end - self.first <= SLOTS // 20

    def parts(self, number: int) -> list[Slots]:
        """The same, cut into so many pieces, as far as there are slots."""
        wide = self.end - self.first
        number = min(number, wide)
        cuts = [self.first + wide * nth // number for nth in range(number + 1)]
        return [Slots(first, end, self.shift) for first, end in itertools.pairwise(cuts)]

    def condition(self, key: str) -> str:
        if self.all:
            return "true"
        slot = f"(cityHash64({key}) % {SLOTS} + {self.shift}) % {SLOTS}"
        return f"{slot} >= {self.first} and {slot} < {self.end}" if self.first else f"{slot} < {self.end}"


class Difference(msgspec.Struct, frozen=True):
    """A row that is wrong: what the table says of this key and what the events say; None where they have no such row."""

    key: dict[str, Any]
    table: dict[str, Any] | None
    events: dict[str, Any] | None


class Comparison(msgspec.Struct):
    """How many rows of a table were compared, how many are wrong, and the worst of them.

    Where events have expired, `since` is the time from which on rows could be compared; `note` says what else could not be.
    """

    table: str
    compared: bool = True
    rows: int = 0
    wrong: int = 0
    worst: list[Difference] = []
    since: datetime | None = None
    note: str = ""


class Checks:
    """The checks of a folder over the tables of one database: the shop's own, or clones of them.

    `horizon` is the seq from which on all events are there, 0 if none ever expired.
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
        """Nothing compared yet: since when it can be, or why not at all."""
        if table.name not in self.names:
            return Comparison(table.name, compared=False, note=f"there is no sql/checks/{table.name}.sql")
        limits = sure(table, self._database, self._horizon)
        return Comparison(table.name, compared=limits.compared, since=limits.since, note=limits.note)

    def steps(self, table: CountTable, slots: Slots) -> list[Slots]:
        """The pieces in which a table is compared, so that memory is bounded; none if it cannot be."""
        if not self.comparison(table).compared:
            return []
        counts = (f"(select count() from {self._database}.{name})" for name in (table.name, "events"))
        rows = int(self._warehouse.trusted_rows(f"select greatest({', '.join(counts)})").data[0][0])
        return slots.parts(1 + rows * (slots.end - slots.first) // SLOTS // ROWS)

    def compare(
        self, table: CountTable, steps: Sequence[Slots], done: Callable[[], None] = lambda: None, threads: int = 0
    ) -> Comparison:
        """One step after the other; `done` is told of each, and may raise to stop."""
        found, worst = self.comparison(table), list[list[Any]]()
        for slots in steps:
            sql = f"{self._sql(table, slots)} settings max_bytes_before_external_group_by = {SPILL}"
            sql += f", max_bytes_before_external_sort = {SPILL}" + (f", max_threads = {threads:d}" if threads else "")
            rows, wrong, some = self._warehouse.trusted_rows(sql).data[0]
            found.rows, found.wrong, worst = found.rows + int(rows), found.wrong + int(wrong), worst + some
            done()
        found.worst = [_difference(table, row) for row in sorted(worst, key=lambda row: row[0])[:WORST]]
        return found

    def _sql(self, table: CountTable, slots: Slots) -> str:
        """Rows compared, rows wrong, and the worst: (size, keys, is it in the table, its values, is it in the events, theirs)."""
        limits = sure(table, self._database, self._horizon)
        where = f"{slots.condition(', '.join(table.sample_keys))} and {limits.keys}"
        final = "final" if "any" in table.values.values() else ""
        columns = ", ".join(f"cast({name} as {plain_type(table.types[name])}) as {name}" for name in table.types)
        stored = f"select {columns}, true as in_table from {self._database}.{table.name} {final} where {where}"
        made = f"select {columns}, false as in_table from (\n{self._recompute(table, slots)}\n) where {where}"
        sides = {"table": "in_table", "events": "not in_table"}
        merged = [
            f"{_merge(how)}({name}, {side}) as {_named(said, name)}"
            for said, side in sides.items()
            for name, how in table.values.items()
        ]
        for said, side in sides.items():  # sums of zero are no row: they disappear when parts merge
            some = " or ".join(f"{_named(said, name)} != 0" for name in table.values)
            merged.append(f"{some if table.is_summing else f'countIf({side}) > 0'} as {_named(said, 'there')}")
        unequal = [f"{_named('table', name)} != {_named('events', name)}" for name in [*table.values, "there"]]
        sizes = [f"abs(toFloat64({_named('table', n)}) - toFloat64({_named('events', n)}))" for n in table.sum_columns]
        size = " + ".join(sizes) or "0"
        says = [f"({', '.join(_named(said, name) for name in table.values)},)" for said in sides]
        keys = ", ".join(table.keys)
        worst = f"(-({size}), ({keys},), _table_there, {says[0]}, _events_there, {says[1]})"
        return f"""
            select count(), countIf(_wrong), groupArraySortedIf({WORST})({worst}, _wrong)
            from (
                select {keys}, {", ".join(merged)}, {" or ".join(unequal)} as _wrong
                from ({stored} union all {made})
                group by {keys}
                having {limits.merged}
            )
        """

    def _recompute(self, table: CountTable, slots: Slots) -> str:
        template = self._templates.get_template(f"{table.name}.sql")
        return template.render(database=self._database, since=self._horizon, few=slots.few, picks=slots.condition)


def _named(side: str, column: str) -> str:
    return f"_{side}_{column}"


def _merge(how: str) -> str:
    """The aggregate function of a column's values on one side: of a newest row there must be one version."""
    return "groupUniqArrayIf" if how == "any" else f"{how}If"


def _difference(table: CountTable, row: Sequence[Any]) -> Difference:
    _, keys, in_table, stored, in_events, made = row
    return Difference(
        dict(zip(table.keys, map(_told, keys), strict=True)),
        dict(zip(table.values, map(_told, stored), strict=True)) if in_table else None,
        dict(zip(table.values, map(_told, made), strict=True)) if in_events else None,
    )


def _told(value: Any) -> Any:
    """A value as JSON has it: integers that other readers would round are texts."""
    if isinstance(value, list):
        return _told(value[0]) if len(value) == 1 else [_told(one) for one in value]
    return str(value) if isinstance(value, int) and abs(value) > SAFE_INTEGER else value
