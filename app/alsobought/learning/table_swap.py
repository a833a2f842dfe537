"""A learnt table made beside the one that answers, in a database of its own, and exchanged with it: readers see old or new.

A run that is killed leaves its table there, and the next run of the same takes it away. Two at once do not mix: the later one
takes the table of the earlier one away, whose next insert then fails.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from alsobought.errors import Unusable, WarehouseFault
from alsobought.failpoints import reach
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.writer import Writer

ROWS = 10_000  # in one insert
Exchange = Callable[[str, str], object]


@dataclass(frozen=True)
class Replacement:
    """An empty table `name`, with its database, of the columns of another."""

    warehouse: Warehouse
    name: str

    @classmethod
    def make(cls, warehouse: Warehouse, table: str) -> Replacement:
        """Takes away what earlier runs left of it. Raises Unusable on a cluster."""
        _refuse_cluster(warehouse, table)
        database = database_of(warehouse)
        warehouse.command(f"create database if not exists {database}")
        sql = "select name from system.tables where database = {database:String} and startsWith(name, {begin:String})"
        for (name,) in warehouse.trusted_rows(sql, {"database": database, "begin": f"{table}__"}).data:
            warehouse.command(f"drop table if exists {database}.{name} sync")
        made = cls(warehouse, f"{database}.{table}__{secrets.token_hex(4)}")
        warehouse.command(f"create table {made.name} as {warehouse.database}.{table}")
        return made

    def insert(self, rows: Iterable[Mapping[str, Any]], told: Callable[[int], object] = lambda _: None) -> int:
        """Stores rows, and tells after each few thousand; returns how many. Raises Unusable if another run took over."""
        encode, left, total = msgspec.json.Encoder().encode_lines, iter(rows), 0
        while some := list(islice(left, ROWS)):
            self.refuse_if_gone()
            self.warehouse.insert(self.name, encode(some))
            reach("learn.inserted")
            total += len(some)
            told(len(some))
        return total

    def command(self, sql: str) -> None:
        """`alter table {table} …`, `optimize table {table} …`"""
        self.refuse_if_gone()
        self.warehouse.command(sql.format(table=self.name))

    def refuse_if_gone(self) -> None:
        database, _, table = self.name.partition(".")
        sql = "select count() from system.tables where database = {database:String} and name = {table:String}"
        if not int(self.warehouse.trusted_rows(sql, {"database": database, "table": table}).data[0][0]):
            raise Unusable("the same is being learnt by another command, which began later", "Wait for that one")

    def drop(self) -> None:
        """Takes it away, and the database with the last one in it."""
        self.warehouse.command(f"drop table if exists {self.name} sync")
        database = database_of(self.warehouse)
        sql = "select count() from system.tables where database = {database:String}"
        if not int(self.warehouse.trusted_rows(sql, {"database": database}).data[0][0]):
            self.warehouse.command(f"drop database if exists {database} sync")


def _refuse_cluster(warehouse: Warehouse, table: str) -> None:
    sql = "select engine from system.tables where database = {database:String} and name = {table:String}"
    found = warehouse.trusted_rows(sql, {"database": warehouse.database, "table": table}).data
    if not found:
        raise Unusable(f"there is no table {table}", "`alsobought migrate up` makes it")
    if found[0][0] == "Distributed":
        raise Unusable(f"{table} is spread over a cluster, where nothing can be learnt yet", "Use one node")


def database_of(warehouse: Warehouse) -> str:
    return f"{warehouse.database}_learn"


def exchange(warehouse: Warehouse, table: str, made: str) -> None:
    """Puts a table that was made in the place of ours; ours is under its name then.

    Raises WarehouseFault for a table that is no replacement of it.
    """
    if not made.startswith(f"{database_of(warehouse)}.{table}__"):
        raise WarehouseFault(f"{made} was not made to replace {table}")
    reach("learn.whole")
    warehouse.command(f"exchange tables {warehouse.database}.{table} and {made}")
    reach("learn.exchanged")


def take_in(writer: Writer, table: str, made: str) -> None:
    """The same by the process that answers: what it kept of answers is dropped."""
    exchange(writer.warehouse, table, made)
    writer.on_rewritten()
