"""The count tables as the database has them: what each is made of, and the SELECT of its view over any events.

A view is named for its table: co_baskets_mv fills co_baskets. Its SELECT reads `events`, which is the inserted block there, and
perhaps other count tables, its histories. Pointed at a scratch database it says what any events give: a user's, or a chunk of all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from graphlib import TopologicalSorter

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from alsobought.errors import Unusable
from alsobought.storage.warehouse import Warehouse

VIEW = "_mv"


@dataclass(frozen=True)
class CountTable:
    """`keys` are what it is sorted by; `values` the other columns, each with the function that merges it ('any': newest row wins).

    `reads` are the other count tables that its view asks. `select` is that view's.
    """

    database: str
    name: str
    engine: str
    keys: tuple[str, ...]
    values: Mapping[str, str]
    types: Mapping[str, str]
    select: str
    reads: frozenset[str]

    @property
    def columns(self) -> str:
        return ", ".join([*self.keys, *self.values])

    @property
    def sums(self) -> bool:
        """Whether all values are signed sums, so that rows can be taken back by their negatives."""
        return self.engine == "SummingMergeTree"

    @property
    def names_users(self) -> bool:
        """Whether its rows say whose they are."""
        return "user_id" in self.keys

    @cached_property
    def owner(self) -> str:
        """The key that is made of the user_id, so that every row belongs to one user; an empty string if none is seen to be."""
        try:
            parsed = sqlglot.parse_one(self.select, dialect="clickhouse", into=exp.Select)
        except SqlglotError:  # it does not know all of ClickHouse
            return ""
        made = {part.alias_or_name: part for part in parsed.selects}
        of_user = (key for key in self.keys if any(c.name == "user_id" for c in made[key].find_all(exp.Column)))
        return next(of_user, "")

    @cached_property
    def bucket(self) -> str:
        """The key that is a time, or an empty string."""
        return next((key for key in self.keys if self.types[key].startswith("Date")), "")

    @cached_property
    def sampled(self) -> tuple[str, ...]:
        """The keys that a sample picks rows by: the owner, for whole users; else the first hash, as items have."""
        hashes = (key for key in self.keys if self.types[key] == "UInt64")
        picked = self.owner or next(hashes, "")
        return (picked,) if picked else self.keys

    @property
    def summed(self) -> list[str]:
        """The values that are sums."""
        return [name for name, how in self.values.items() if how == "sum"]

    def over(self, events: str, histories: str) -> str:
        """The view's SELECT over other events: a table or (select …) for `events`, a database for the histories.

        >>> table = CountTable("shop", "n", "", (), {}, {}, "select count() from shop.events, shop.firsts", frozenset({"firsts"}))
        >>> table.over("scratch.events", "scratch")
        'select count() from scratch.events, scratch.firsts'
        """

        def instead(found: re.Match[str]) -> str:
            return events if found[1] == "events" else f"{histories}.{found[1]}"

        names = "|".join(["events", *self.reads])
        return re.sub(rf"\b{re.escape(self.database)}\.({names})\b", instead, self.select)


def count_tables(warehouse: Warehouse) -> list[CountTable]:
    """Every table that a view of `events` fills, none before those that its view reads."""
    given = {"database": warehouse.database}
    sql = "select name, engine, sorting_key, as_select from system.tables where database = {database:String}"
    found = {row[0]: row[1:] for row in warehouse.trusted_rows(sql, given).data}
    sql = "select table, name, type from system.columns where database = {database:String} order by table, position"
    columns: dict[str, dict[str, str]] = {}
    for table, column, kind in warehouse.trusted_rows(sql, given).data:
        columns.setdefault(table, {})[column] = kind
    of_events = re.compile(rf"\b{re.escape(warehouse.database)}\.events\b")
    names = {
        view.removesuffix(VIEW)
        for view, (engine, _, select) in found.items()
        if engine == "MaterializedView" and of_events.search(select)
    }
    tables = {
        name: _table(warehouse.database, name, found[name][:2], columns[name], found[name + VIEW][2], names)
        for name in sorted(names)
    }
    order = TopologicalSorter({name: sorted(table.reads) for name, table in tables.items()})
    return [tables[name] for name in order.static_order()]


def named(tables: Sequence[CountTable], names: Sequence[str]) -> list[CountTable]:
    """Those of these names, in the order of `tables`. Raises Unusable for a name that is none's."""
    known = [table.name for table in tables]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(known))}"
            raise Unusable(f"there is no count table {name!r}", hint)
    return [table for table in tables if table.name in names]


def _table(
    database: str, name: str, made: Sequence[str], types: Mapping[str, str], select: str, names: set[str]
) -> CountTable:
    engine, sorted_by = made[0].removeprefix("Replicated"), made[1]
    keys = tuple(sorted_by.split(", "))
    merged = "sum" if engine == "SummingMergeTree" else "any"
    values = {column: _merging(kind, merged) for column, kind in types.items() if column not in keys}
    read = set(re.findall(rf"\b{re.escape(database)}\.(\w+)", select)) & names - {name}
    return CountTable(database, name, engine, keys, values, types, select, frozenset(read))


def _merging(kind: str, otherwise: str) -> str:
    found = re.match(r"SimpleAggregateFunction\((\w+),", kind)
    return found[1] if found else otherwise
