"""The interfaces of a warehouse: what readers and writers need, whichever process holds the connections.

`storage.clickhouse` implements it over connections to ClickHouse, `service.ipc_client` over a socket to the process that holds
the folder. Both implement the abstract members and inherit the reads that are built from them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from alsobought.storage.folder_lock import folder_of
from alsobought.storage.results import Column, Rows, decode_rows, plain_type

KEYS_TABLE, AUDIT_TABLE = "access_keys", "audit_log"


class Reader(Protocol):
    """Limited reads."""

    @abstractmethod
    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """Raises TooSlow where a limit was hit, WarehouseFault for everything else."""

    def value(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, or None."""
        data = self.rows(sql, parameters).data
        return data[0][0] if data else None


class Cluster(Protocol):
    """What a writer of one shard asks of all nodes: `storage.nodes` has it."""

    @property
    def warehouses(self) -> Sequence[Warehouse]: ...
    @property
    def lagging(self) -> bool: ...
    @property
    def due(self) -> int: ...
    @property
    def has_work(self) -> bool: ...
    def reload(self, names: Sequence[str], *, everywhere: bool = True) -> None: ...
    def select(self, table: Any, picks: Any, changed: Any = None) -> str: ...
    def make(self, table: Any, picks: Any, *, changed: Any = None, clear: bool = False) -> None: ...
    def catch_up(self) -> None: ...


class Warehouse(Reader, Protocol):
    """An open database, by its DSN and its name; `cluster` if it is one shard of several."""

    dsn: str
    database: str
    cluster: Cluster | None = None

    @property
    @abstractmethod
    def shared(self) -> bool:
        """True if other processes may change it at the same time."""

    @property
    def replicated(self) -> bool:
        """True if it is a shard with several replicas."""
        return False

    def command_on_peers(self, *_statements: str) -> bool:
        """Runs statements on the other replicas that answer. Returns False if that left out one."""
        return True

    @abstractmethod
    def command(self, sql: str) -> None:
        """Runs one statement that changes something. Raises WarehouseFault."""

    @abstractmethod
    def insert(self, table: str, lines: bytes, token: str = "", columns: Sequence[str] = ()) -> None:
        """Inserts JSON lines as one block. Returns once the block and the rows of its views survive kill -9.

        A table of another database is named with it. Raises NotStored.
        """

    @abstractmethod
    def raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        """A read under limits on a read-only connection, in a ClickHouse format. Raises TooSlow, WarehouseFault."""

    @abstractmethod
    def trusted_raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        """A read of our own on the writer's connection: no limits, and it sees what was just written. Raises WarehouseFault."""

    @abstractmethod
    def close(self) -> None: ...

    @property
    def local_database(self) -> str:
        """The database with the tables of this node, and its dictionaries: another one if `database` is that of all shards."""
        return self.database

    @property
    def embedded(self) -> bool:
        return self.dsn.startswith("chdb:")

    @property
    def folder(self) -> Path | None:
        """The folder of an embedded warehouse; None for a server or for memory."""
        return folder_of(self.dsn)

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """`raw`, decoded."""
        return decode_rows(self.raw(sql, parameters, "JSONCompact"))

    def trusted_rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """`trusted_raw`, decoded. Raises WarehouseFault."""
        return decode_rows(self.trusted_raw(sql, parameters, "JSONCompact"))

    def describe(self, select: str, parameters: Mapping[str, Any]) -> list[Column]:
        """The columns a SELECT would return, without running it."""
        return [
            Column(row[0], plain_type(row[1])) for row in self.rows(f"describe table (\n{select}\n)", parameters).data
        ]

    def syntax_tree(self, select: str, parameters: Mapping[str, Any]) -> list[str]:
        """The engine's reading of a SELECT, one node a line. Parses it and runs nothing; never for a text of several statements.

        The format becomes a part of what is explained; the lines themselves come in the default format, tab-separated.
        """
        return lines_of(self.raw(f"explain ast\n{select}", parameters, "TabSeparated"))

    @cached_property
    def version(self) -> str:
        """The version of the engine."""
        return str(self.value("select version()"))

    def tables(self) -> frozenset[str]:
        """The project's own tables and dictionaries, without feeds, from which nothing can be read."""
        sql = "select name from system.tables where database = {database:String} and engine != 'Null'"
        return frozenset(row[0] for row in self.rows(sql, {"database": self.database}).data)

    def schema(self) -> dict[str, dict[str, str]]:
        """{table or dictionary of the project: {its columns, in order: their types}}.

        Without feeds, and without the tables of keys and of who changed what, which no pipe may read.
        """
        sql = (
            "select table, groupArray(name), groupArray(type) from (select table, name, type from system.columns"
            " where database = {database:String} and table not in {hidden:Array(String)} and table not in"
            " (select name from system.tables where database = {database:String} and engine = 'Null')"
            " order by table, position) group by table"
        )
        rows = self.rows(sql, {"database": self.database, "hidden": [KEYS_TABLE, AUDIT_TABLE]}).data
        return {table: dict(zip(names, types, strict=True)) for table, names, types in rows}


def every_node(warehouse: Warehouse) -> Sequence[Warehouse]:
    """The nodes that a table has to be written to if each has it whole: on a cluster all of them, else this one."""
    return warehouse.cluster.warehouses if warehouse.cluster else [warehouse]


def lines_of(tab_separated: bytes) -> list[str]:
    """The lines of a result with one column of text."""
    return tab_separated.decode().rstrip("\n").split("\n")
