"""Build a learned table beside the current one, in a database of its own, and exchange the two atomically.

The table of a killed run stays in that database until the next run for the same table drops it. Of two concurrent runs,
the later one drops the table of the earlier one, whose next insert then fails.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from alsobought.errors import Unusable, WarehouseFault
from alsobought.failpoints import reach
from alsobought.storage.replicated_tables import create_like, engine_of, put_into_service
from alsobought.storage.warehouse import Warehouse, every_node
from alsobought.writer.writer import Writer

INSERT_ROWS = 10_000
Exchange = Callable[[str, str], object]


@dataclass(frozen=True)
class Replacement:
    """A table with the columns of another; `name` includes its database. On a cluster, every node has it."""

    warehouse: Warehouse
    name: str

    @classmethod
    def create(cls, warehouse: Warehouse, table: str) -> Replacement:
        """Creates it empty, and drops those of earlier runs. Raises Unusable if there is no such table."""
        database = replacement_database(warehouse)
        replacement = cls(warehouse, f"{database}.{table}__{secrets.token_hex(4)}")
        for node in every_node(warehouse):
            _require_table(node, table)
            node.command(f"create database if not exists {database}")
            sql = "select name from system.tables where database = {database:String} and startsWith(name, {prefix:String})"
            for (name,) in node.trusted_rows(sql, {"database": database, "prefix": f"{table}__"}).data:
                node.command(f"drop table if exists {database}.{name} sync")
            create_like(node, replacement.name, table)
        return replacement

    def insert(self, rows: Iterable[Mapping[str, Any]]) -> int:
        """Stores rows and returns their number. Raises Unusable if another run has started."""
        encode, remaining, total = msgspec.json.Encoder().encode_lines, iter(rows), 0
        while batch := list(islice(remaining, INSERT_ROWS)):
            self.refuse_if_dropped()
            lines = encode(batch)
            for node in every_node(self.warehouse):
                node.insert(self.name, lines)
            reach("learn.inserted")
            total += len(batch)
        return total

    def command(self, sql: str) -> None:
        """Executes a statement such as `optimize table {table} final`."""
        self.refuse_if_dropped()
        for node in every_node(self.warehouse):
            node.command(sql.format(table=self.name))

    def refuse_if_dropped(self) -> None:
        database, _, table = self.name.partition(".")
        sql = "select count() from system.tables where database = {database:String} and name = {table:String}"
        for node in every_node(self.warehouse):
            if not int(node.trusted_rows(sql, {"database": database, "table": table}).data[0][0]):
                raise Unusable("another command, started later, is learning the same table", "Wait for that command")

    def drop(self) -> None:
        """Drops the table, and the database if it is empty then."""
        database = replacement_database(self.warehouse)
        for node in every_node(self.warehouse):
            node.command(f"drop table if exists {self.name} sync")
            sql = "select count() from system.tables where database = {database:String}"
            if not int(node.trusted_rows(sql, {"database": database}).data[0][0]):
                node.command(f"drop database if exists {database} sync")


def _require_table(warehouse: Warehouse, table: str) -> None:
    if not engine_of(warehouse, table):
        raise Unusable(f"there is no table {table}", "Run `alsobought migrate up` to create it")


def replacement_database(warehouse: Warehouse) -> str:
    return f"{warehouse.local_database}_learn"


def exchange_tables(warehouse: Warehouse, table: str, replacement: str) -> None:
    """Puts a replacement into service; on a cluster, on one node after another.

    It then has the old rows, or where tables are replicated, still the new ones.

    Raises WarehouseFault for a table that was not created as its replacement.
    """
    if not replacement.startswith(f"{replacement_database(warehouse)}.{table}__"):
        raise WarehouseFault(f"{replacement} is not a replacement of {table}")
    reach("learn.complete")
    for node in every_node(warehouse):
        put_into_service(node, table, replacement)
    reach("learn.exchanged")


def exchange_and_invalidate(writers: Sequence[Writer], table: str, replacement: str) -> None:
    """Exchanges the tables in the process that serves, makes the serving tables again that read it, and clears the cache.

    `writers` are those of all shards, each of which makes its own rows.
    """
    serving = [(writer, writer.serving.forget_positions([table])) for writer in writers]
    exchange_tables(writers[0].warehouse, table, replacement)
    for writer, tables in serving:
        writer.serving.make_again(tables)
        writer.on_rewritten()
