"""The count tables as the database has them: their columns, and the SELECT of each view over any events.

The SELECT of a view reads `events`, which is the inserted block there, and perhaps other count tables, its histories. Over a
scratch database it computes the counts of any events: of a user, or a slice.

Some views read a feed instead: a table of engine Null, which passes the rows of another view on. Here the SELECT of that other
view stands in place of the feed, as a sub-query, so that every count is a SELECT over events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Protocol

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from alsobought.errors import Unusable
from alsobought.storage.sql_text import quoted
from alsobought.storage.warehouse import Warehouse

FEED_ENGINE = "Null"


@dataclass(frozen=True)
class View:
    """A materialized view: the table that it writes to, and its SELECT."""

    name: str
    table: str
    select: str


class NamedTable(Protocol):
    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class CountTable:
    """`keys` is its sorting key; `values` the other columns, each with the function that merges it ('any': newest row wins).

    `select` is the SELECT of its view, or of its views together, without feeds; `reads` are the other count tables which that
    reads. `select_of_feeds` is the same with the feeds by name, and `feeds` has the SELECT of each, which may name others.
    """

    database: str
    name: str
    engine: str
    keys: tuple[str, ...]
    values: Mapping[str, str]
    types: Mapping[str, str]
    select: str
    reads: frozenset[str]
    select_of_feeds: str = ""
    feeds: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> str:
        return ", ".join([*self.keys, *self.values])

    @property
    def is_summing(self) -> bool:
        """True if all values are signed sums, so that negative rows subtract from them."""
        return self.engine == "SummingMergeTree"

    @property
    def has_user_id(self) -> bool:
        """True if its key contains the user_id itself."""
        return "user_id" in self.keys

    @cached_property
    def owner(self) -> str:
        """The key that is computed from the user_id, so that every row belongs to one user; empty if none is recognized."""
        try:
            parsed = sqlglot.parse_one(self.select, dialect="clickhouse", into=exp.Select)
        except SqlglotError:  # it does not parse all of ClickHouse
            return ""
        expressions = {expression.alias_or_name: expression for expression in parsed.selects}
        from_user_id = (
            key
            for key in self.keys
            if key in expressions and any(c.name == "user_id" for c in expressions[key].find_all(exp.Column))
        )
        return next(from_user_id, "")

    @cached_property
    def bucket(self) -> str:
        """The key that is a date or time, or an empty string."""
        return next((key for key in self.keys if self.types[key].startswith("Date")), "")

    @cached_property
    def sample_keys(self) -> tuple[str, ...]:
        """The keys that decide whether a row is in a sample: the owner, for complete users; else the first hash, as of items."""
        hashes = (key for key in self.keys if self.types[key] == "UInt64")
        key = self.owner or next(hashes, "")
        return (key,) if key else self.keys

    @property
    def sum_columns(self) -> list[str]:
        """The values that are merged by sum."""
        return [name for name, merge in self.values.items() if merge == "sum"]

    def over(self, events: str, histories: str) -> str:
        """The view's SELECT over other events: a table or (select …) for `events`, a database for the histories.

        >>> table = CountTable("shop", "n", "", (), {}, {}, "select count() from shop.events, shop.firsts", frozenset({"firsts"}))
        >>> table.over("scratch.events", "scratch")
        'select count() from scratch.events, scratch.firsts'
        """

        return self._over(self.select, events, histories)

    def over_feeds(self, scratch: str) -> str:
        """The view's SELECT over the events, histories and feeds of another database."""
        return self._over(self.select_of_feeds, f"{scratch}.events", scratch)

    def feed_over(self, feed: str, scratch: str) -> str:
        """The rows of a feed over the events, histories and other feeds of another database."""
        return self._over(self.feeds[feed], f"{scratch}.events", scratch)

    def feeds_of(self, feed: str) -> list[str]:
        """The other feeds that a feed reads."""
        return [name for name in self.feeds if re.search(rf"\b{re.escape(self.database)}\.{name}\b", self.feeds[feed])]

    def _over(self, select: str, events: str, histories: str) -> str:
        def replacement(table: re.Match[str]) -> str:
            return events if table[1] == "events" else f"{histories}.{table[1]}"

        names = "|".join(["events", *self.reads, *self.feeds])
        return re.sub(rf"\b{re.escape(self.database)}\.({names})\b", replacement, select)


def count_tables(warehouse: Warehouse) -> list[CountTable]:
    """Every table that a view of `events`, or of a feed, writes to, each after those that its views read."""
    sql = "select name, engine, sorting_key from system.tables where database = {database:String}"
    tables = {name: columns for name, *columns in warehouse.trusted_rows(sql, {"database": warehouse.database}).data}
    sql = "select table, name, type from system.columns where database = {database:String} order by table, position"
    types: dict[str, dict[str, str]] = {}
    for table, column, kind in warehouse.trusted_rows(sql, {"database": warehouse.database}).data:
        types.setdefault(table, {})[column] = kind
    views = materialized_views(warehouse)
    feeds = {
        name: _converted(_union(name, views, types[name]), types[name])
        for name in {view.table for view in views}
        if tables[name][0] == FEED_ENGINE
    }
    of_feeds = {name: _union(name, views, types[name]) for name in {view.table for view in views} - feeds.keys()}
    views = [View(view.name, view.table, _without_feeds(view.select, warehouse.database, feeds)) for view in views]
    reads_events = re.compile(rf"\b{re.escape(warehouse.database)}\.events\b")
    names = {view.table for view in views if reads_events.search(view.select)} - feeds.keys()
    counts = {}
    for name in sorted(names):
        select = _union(name, views, types[name])
        reads = set(re.findall(rf"\b{re.escape(warehouse.database)}\.(\w+)", select)) & names - {name}
        engine, sorting_key = tables[name]
        table = _count_table(warehouse.database, name, engine, sorting_key, types[name], select, frozenset(reads))
        counts[name] = replace(table, select_of_feeds=of_feeds[name], feeds=feeds if of_feeds[name] != select else {})
    order = TopologicalSorter({name: sorted(table.reads) for name, table in counts.items()})
    return [counts[name] for name in order.static_order()]


def materialized_views(warehouse: Warehouse) -> list[View]:
    """The materialized views that write to a table of the database, by name."""
    sql = (
        "select name, extract(create_table_query, {to:String}), as_select from system.tables"
        " where database = {database:String} and engine = 'MaterializedView' order by name"
    )
    to = rf"^CREATE MATERIALIZED VIEW \S+ TO {re.escape(warehouse.database)}\.(\w+)"
    rows = warehouse.trusted_rows(sql, {"database": warehouse.database, "to": to}).data
    return [View(*row) for row in rows if row[1]]


def feeds_of(warehouse: Warehouse) -> set[str]:
    """The names of the feeds."""
    sql = "select name from system.tables where database = {database:String} and engine = {engine:String}"
    parameters = {"database": warehouse.database, "engine": FEED_ENGINE}
    return {name for (name,) in warehouse.trusted_rows(sql, parameters).data}


def select_tables(tables: Sequence[CountTable], names: Sequence[str]) -> list[CountTable]:
    """The tables with these names, in the order of `tables`. Raises Unusable for a name that no table has."""
    require_tables(tables, names)
    return [table for table in tables if table.name in names]


def require_tables(tables: Sequence[NamedTable], names: Sequence[str]) -> None:
    """Raises Unusable for a name that no table has."""
    existing = [table.name for table in tables]
    for name in names:
        if name not in existing:
            near = get_close_matches(name, existing, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(sorted(existing))}"
            raise Unusable(f"there is no count table {name!r}", hint)


def _union(table: str, views: Sequence[View], columns: Iterable[str]) -> str:
    """The rows that the views of a table write: the SELECT of the only one, or of all with the columns of the table."""
    selects = [view.select for view in views if view.table == table]
    if len(selects) == 1:
        return selects[0]
    return " UNION ALL ".join(f"SELECT {', '.join(columns)} FROM ({select})" for select in selects)


def _converted(select: str, types: Mapping[str, str]) -> str:
    """The rows with the types of a feed, which the views on it see."""
    columns = ", ".join(f"CAST({column}, {quoted(kind)}) AS {column}" for column, kind in types.items())
    return f"SELECT {columns} FROM ({select})"


def _without_feeds(select: str, database: str, feeds: Mapping[str, str]) -> str:
    """The SELECT with the SELECT of each feed, which may read feeds too, in its place."""
    if not feeds:
        return select
    named = re.compile(rf"\b{re.escape(database)}\.({'|'.join(map(re.escape, feeds))})\b")
    while named.search(select):
        select = named.sub(lambda feed: f"({feeds[feed[1]]})", select)
    return select


def _count_table(
    database: str,
    name: str,
    engine: str,
    sorting_key: str,
    types: Mapping[str, str],
    select: str,
    reads: frozenset[str],
) -> CountTable:
    engine, keys = engine.removeprefix("Replicated"), tuple(sorting_key.split(", "))
    default = "sum" if engine == "SummingMergeTree" else "any"
    values = {column: _merge_function(kind, default) for column, kind in types.items() if column not in keys}
    return CountTable(database, name, engine, keys, values, types, select, reads)


def _merge_function(kind: str, default: str) -> str:
    aggregate = re.match(r"SimpleAggregateFunction\((\w+),", kind)
    return aggregate[1] if aggregate else default
