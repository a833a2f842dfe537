"""The database `<database>_all` of a node: the tables of all shards together, for reads alone.

A table is sharded if a view feeds it from a sharded table, such as `events`, or if it has a user_id: then a Distributed table
stands for it. Every node has all rows of any other table, for which an alias stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from alsobought.errors import Unusable
from alsobought.storage.count_tables import FEED_ENGINE, materialized_views
from alsobought.storage.sql_text import quoted, quoted_identifier
from alsobought.storage.topology import all_shards
from alsobought.storage.warehouse import Warehouse

SHARDING_KEY = "CRC32(user_id)"
RECORDS = frozenset(
    {
        "access_keys",
        "audit_log",
        "dead_letters",
        "dropped_events",
        "events",
        "experiment_stops",
        "forgotten_users",
        "ingest_halts",
        "ingest_ranges",
        "loads",
        "placements",
        "requests",
        "rewrites",
        "serving_positions",
        "writers",
    }
)
"""Sharded, although no view feeds them and most have no user_id: `events`, and what the process that stores them records."""
HIDDEN = ("migrations", "MaterializedView", FEED_ENGINE)  # names and engines of what nobody reads there
DICTIONARY_SETTINGS = (
    # A dictionary loads without the shards that are down: a node must be able to store events meanwhile.
    "settings(distributed_product_mode = 'global', skip_unavailable_shards = 1, load_balancing = 'in_order')"
)


@dataclass(frozen=True)
class Table:
    name: str
    engine: str
    definition: str
    columns: tuple[tuple[str, str], ...]

    @property
    def has_user(self) -> bool:
        return any(name == "user_id" for name, _ in self.columns)


def sharded_tables(warehouse: Warehouse) -> frozenset[str]:
    """The names of the tables, and feeds, whose rows are divided over the shards."""
    return _sharded(warehouse, _tables(warehouse, warehouse.database))


def tables_of_users(warehouse: Warehouse) -> frozenset[str]:
    """The tables of which a node has all that its users need: those with a user_id, and those that are whole."""
    tables = _tables(warehouse, warehouse.database)
    sharded = _sharded(warehouse, tables)
    return frozenset(table.name for table in tables.values() if table.has_user or table.name not in sharded)


def local_dictionaries(sql: str, database: str) -> str:
    """A text over the tables of all shards with the database of each dictionary, of which there is one on a node.

    Its name is the first argument of dictGet and its kin, and a literal (`pipes.calls`).

    >>> local_dictionaries("dictGet('catalogue', 'title', 1), dictHas('shop_all.owners', 1)", "shop")
    "dictGet('shop.catalogue', 'title', 1), dictHas('shop.owners', 1)"
    """
    pattern = rf"\b(dict[A-Z]\w*\(\s*')(?:{re.escape(all_shards(database))}\.)?(\w+')"
    return re.sub(pattern, rf"\g<1>{database}.\g<2>", sql)


def spread(warehouse: Warehouse, cluster: str, shards: int) -> None:
    """Makes `<database>_all` on this node, or brings it up to the tables of `<database>`; repeatable.

    Dictionaries that are made from sharded tables then load from all shards. Raises Unusable if the node knows another cluster.
    """
    _require_cluster(warehouse, cluster, shards)
    database, together = warehouse.database, all_shards(warehouse.database)
    tables = _tables(warehouse, database)
    sharded = _sharded(warehouse, tables)
    wanted = {table.name: table for table in tables.values() if not {table.name, table.engine} & {*HIDDEN}}
    warehouse.command(f"create database if not exists {together}")
    existing = _tables(warehouse, together)
    for name in existing.keys() - wanted.keys():
        warehouse.command(f"drop table if exists {together}.{name} sync")
    for table in sorted(wanted.values(), key=lambda table: table.engine == "View"):  # a view reads the others
        if statement := _statement(table, database, cluster, sharded, existing.get(table.name)):
            warehouse.command(statement)
    for table in wanted.values():
        if table.engine == "Dictionary" and (statement := _dictionary(table, database, sharded)):
            warehouse.command(statement)


def _statement(table: Table, database: str, cluster: str, sharded: frozenset[str], existing: Table | None) -> str:
    """The statement that makes what stands for a table; empty if it is there."""
    together = all_shards(database)
    if table.engine == "View":
        select = _from_all(table.definition.partition(" AS ")[2], database, sharded)
        view = f"create or replace view {together}.{table.name} as {select}"
        return "" if existing and existing.definition.endswith(f" AS {select}") else view
    if table.name not in sharded:
        if existing and existing.engine == "Alias":
            return ""
        return (
            f"create or replace table {together}.{table.name} engine = Alias({quoted(database)}, {quoted(table.name)})"
        )
    key = f", {SHARDING_KEY}" if table.has_user else ""
    engine = f"Distributed({quoted(cluster)}, {quoted(database)}, {quoted(table.name)}{key})"
    if existing and existing.columns == table.columns and existing.definition.endswith(f"ENGINE = {engine}"):
        return ""
    columns = ", ".join(f"{quoted_identifier(name)} {kind}" for name, kind in table.columns)  # without their defaults
    return f"create or replace table {together}.{table.name} ({columns}) engine = {engine}"


def _dictionary(table: Table, database: str, sharded: frozenset[str]) -> str:
    """The statement that makes a dictionary load from all shards; empty if it does, or if it reads no sharded table."""
    definition = _from_all(table.definition, database, sharded)
    if definition == table.definition:
        return ""
    if "[HIDDEN]" in definition:
        raise Unusable(
            f"the dictionary {table.name} reads sharded tables with a password, so that it cannot be changed here",
            f"Let its query read {all_shards(database)}, and drop the password",
        )
    without = re.sub(r"\bSETTINGS\((?:[^()']|'[^']*')*\)", "", definition)  # those of another list of shards
    return re.sub(r"^CREATE ", "create or replace ", without) + f"\n{DICTIONARY_SETTINGS}"


def _from_all(sql: str, database: str, sharded: frozenset[str]) -> str:
    def replacement(table: re.Match[str]) -> str:
        return f"{all_shards(database)}.{table[1]}" if table[1] in sharded else table[0]

    return re.sub(rf"\b{re.escape(database)}\.(\w+)", replacement, sql)


def _sharded(warehouse: Warehouse, tables: Mapping[str, Table]) -> frozenset[str]:
    reads = re.compile(rf"\b{re.escape(warehouse.database)}\.(\w+)")
    sources = {(view.table, frozenset(reads.findall(view.select))) for view in materialized_views(warehouse)}
    sharded = {table.name for table in tables.values() if table.name in RECORDS or table.has_user}
    while fed := {table for table, read in sources if read & sharded} - sharded:
        sharded |= fed
    views = (table for table in tables.values() if table.engine == "View")
    return frozenset(sharded | {view.name for view in views if sharded.intersection(reads.findall(view.definition))})


def _tables(warehouse: Warehouse, database: str) -> dict[str, Table]:
    sql = "select table, name, type from system.columns where database = {database:String} order by table, position"
    columns: dict[str, list[tuple[str, str]]] = {}
    for table, *column in warehouse.trusted_rows(sql, {"database": database}).data:
        columns.setdefault(table, []).append((column[0], column[1]))
    sql = "select name, engine, create_table_query from system.tables where database = {database:String} order by name"
    rows = warehouse.trusted_rows(sql, {"database": database}).data
    return {name: Table(name, engine, text, tuple(columns.get(name, ()))) for name, engine, text in rows}


def _require_cluster(warehouse: Warehouse, cluster: str, shards: int) -> None:
    sql = "select uniqExact(shard_num), max(shard_weight) from system.clusters where cluster = {cluster:String}"
    known, weight = map(int, warehouse.trusted_rows(sql, {"cluster": cluster}).data[0])
    if known != shards or weight != 1:
        fault = f"{known} shards" if known != shards else f"a shard with weight {weight}"
        raise Unusable(
            f"the cluster {cluster} of a node has {fault}, but ALSOBOUGHT_SHARDS has {shards}, each with weight 1",
            "Give `remote_servers` of every node the same shards, in the same order",
        )
