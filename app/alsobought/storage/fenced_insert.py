"""Fenced inserts on a server: a batch is stored only if no newer writer epoch is in `writers`, tested in the same statement.

With replicas, the statement fails where its replica has not fetched every row of `writers` that is committed in Keeper.
"""

from __future__ import annotations

from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.engine_settings import write_settings
from alsobought.storage.sql_text import quoted, settings_clause
from alsobought.storage.warehouse import Warehouse


def insert_fenced(warehouse: ClickHouseWarehouse, table: str, lines: bytes, token: str, epoch: int) -> None:
    """Inserts JSON lines as one block unless a newer epoch exists. Then nothing is stored and no error raised: confirm afterwards.

    The server has received the whole text before it evaluates the condition, so a sender that pauses half-way delays nobody.
    """
    data = quoted(lines.decode())
    select = f"select * from format(JSONEachRow, {quoted(_structure(warehouse, table))}, {data})"
    condition = f"where {is_newest(warehouse, epoch)}"
    settings = {"max_query_size": len(data) + 1_000_000, "max_threads": 1, "max_parser_depth": 10_000}
    into = f"insert into {warehouse.database}.{table} {settings_clause(write_settings(token))}"
    warehouse.run_insert(f"{into} {select} {condition}", settings)


def is_newest(warehouse: Warehouse, epoch: int) -> str:
    """The condition that no newer epoch was claimed, on any replica, by the time at which a statement began."""
    newest = f"(select max(epoch) from {warehouse.database}.writers) <= {epoch:d}"
    if not warehouse.replicated:
        return newest
    fetched = "log_pointer > log_max_index and inserts_in_queue = 0 and not is_readonly and not is_session_expired"
    table = f"database = {quoted(warehouse.database)} and table = 'writers'"
    message = quoted("this replica does not have the newest rows of writers yet")
    return f"(select throwIf(countIf({fetched}) = 0, {message}) from system.replicas where {table}) = 0 and {newest}"


def _structure(warehouse: ClickHouseWarehouse, table: str) -> str:
    """The columns of a table with their defaults, as `format` takes them. Read for each batch: a migration may change them."""
    sql = (
        "select name, type, default_expression from system.columns"
        " where database = {database:String} and table = {table:String} order by position"
    )
    columns = warehouse.trusted_rows(sql, {"database": warehouse.database, "table": table}).data
    return ", ".join(f"{name} {kind}" + (f" default {default}" if default else "") for name, kind, default in columns)
