"""Tables of a shard with replicas: what is replicated, and the tables of one node that are made from them.

Shadow tables, scratch tables and replacements stay on the node that makes them. A replicated table is replaced as a whole by the
parts of such a table, in one step for all replicas; exchanging names would concern one node alone.
"""

from __future__ import annotations

import re

from alsobought.storage.warehouse import Warehouse

KEY_VALUE_ENGINE = "EmbeddedRocksDB"
ROWS_SUFFIX = "_rows"
ARGUMENTS = re.compile(r"^Replicated(\w*MergeTree)\('(?:[^'\\]|\\.)*', '(?:[^'\\]|\\.)*'(?:, )?")
WINDOW = re.compile(r"\breplicated_deduplication_window(_seconds)? = \d+(, )?")


def rows_of(table: str) -> str:
    """The table with the rows of a view that stands for a key-value table."""
    return f"{table}{ROWS_SUFFIX}"


def serving_rows(warehouse: Warehouse, table: str) -> str:
    """The table to which the rows of a serving table are written."""
    return rows_of(table) if warehouse.replicated else table


def node_engine(engine_full: str) -> str:
    """The same engine without replication.

    >>> node_engine("ReplicatedSummingMergeTree('/a/{shard}', '{replica}', (n)) ORDER BY x SETTINGS index_granularity = 8192")
    'SummingMergeTree((n)) ORDER BY x SETTINGS index_granularity = 8192'
    """
    engine = ARGUMENTS.sub(r"\1(", engine_full)
    return re.sub(r"(, )?$", "", WINDOW.sub("", engine)) if engine != engine_full else engine_full


def engine_of(warehouse: Warehouse, table: str) -> str:
    """The engine of a table of ours, with its arguments, keys and settings; empty if there is none."""
    sql = "select engine_full from system.tables where database = {database:String} and name = {table:String}"
    rows = warehouse.trusted_rows(sql, {"database": warehouse.database, "table": table}).data
    return str(rows[0][0]) if rows else ""


def create_like(warehouse: Warehouse, name: str, table: str) -> None:
    """Creates an empty table `name` (with its database) with the columns of one of ours. It is not replicated."""
    engine = engine_of(warehouse, table)
    replicated = f" engine = {node_engine(engine)}" if engine.startswith("Replicated") else ""
    warehouse.command(f"create table {name} as {warehouse.database}.{table}{replicated}")


def put_into_service(warehouse: Warehouse, table: str, replacement: str) -> None:
    """Replaces the rows of one of our tables by those of `replacement` (with its database), atomically.

    Where the table is replicated, `replacement` keeps its rows; else the tables are exchanged.
    """
    ours = f"{warehouse.database}.{table}"
    if not engine_of(warehouse, table).startswith("Replicated"):
        warehouse.command(f"exchange tables {ours} and {replacement}")
    elif warehouse.trusted_rows(f"select 1 from {replacement} limit 1").data:
        _adopt_indices(warehouse, table, replacement)
        warehouse.command(f"alter table {ours} replace partition tuple() from {replacement}")
    else:
        warehouse.command(f"truncate table {ours}")


def _adopt_indices(warehouse: Warehouse, table: str, replacement: str) -> None:
    """Gives one of our tables the skipping indices of its replacement: parts are taken over only between tables with the same."""
    ours, theirs = _indices(warehouse, warehouse.database, table), _indices(warehouse, *replacement.split("."))
    changes = [f"drop index {name}" for name in ours if ours[name] != theirs.get(name)]
    changes += [f"add index {name} {clause}" for name, clause in theirs.items() if ours.get(name) != clause]
    for change in changes:
        warehouse.command(f"alter table {warehouse.database}.{table} {change}")


def _indices(warehouse: Warehouse, database: str, table: str) -> dict[str, str]:
    """{index: its expression, type and granularity}"""
    sql = (
        "select name, concat(expr, ' type ', type_full, ' granularity ', toString(granularity))"
        " from system.data_skipping_indices where database = {database:String} and table = {table:String}"
    )
    return dict(warehouse.trusted_rows(sql, {"database": database, "table": table}).data)
