"""Fenced inserts on a server: a batch is stored only if no newer writer epoch is in `writers`, tested in the same statement."""

from __future__ import annotations

from alsobought.storage.clickhouse import ClickHouseWarehouse
from alsobought.storage.engine_settings import write_settings
from alsobought.storage.sql_text import quoted, settings_clause


def insert_fenced(warehouse: ClickHouseWarehouse, table: str, lines: bytes, token: str, epoch: int) -> None:
    """Inserts JSON lines as one block unless a newer epoch exists. Then nothing is stored and no error raised: confirm afterwards.

    The server has received the whole text before it evaluates the condition, so a sender that pauses half-way delays nobody.
    """
    data = quoted(lines.decode())
    select = f"select * from format(JSONEachRow, {quoted(_structure(warehouse, table))}, {data})"
    condition = f"where (select max(epoch) from {warehouse.database}.writers) <= {epoch:d}"
    settings = {"max_query_size": len(data) + 1_000_000, "max_threads": 1, "max_parser_depth": 10_000}
    into = f"insert into {warehouse.database}.{table} {settings_clause(write_settings(token))}"
    warehouse.run_insert(f"{into} {select} {condition}", settings)


def _structure(warehouse: ClickHouseWarehouse, table: str) -> str:
    """The columns of a table with their defaults, as `format` takes them. Read for each batch: a migration may change them."""
    sql = (
        "select name, type, default_expression from system.columns"
        " where database = {database:String} and table = {table:String} order by position"
    )
    columns = warehouse.trusted_rows(sql, {"database": warehouse.database, "table": table}).data
    return ", ".join(f"{name} {kind}" + (f" default {default}" if default else "") for name, kind, default in columns)
