"""The one door to the database: `chdb://folder` in this process, or `http(s)://…` to a server. The SQL is the same.

What a reader would guess wrong: importing chdb starts an engine that does not survive a fork, so nothing here imports it
before a warehouse is opened, and a web server opens its warehouse in the worker.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from alsobought.errors import AlsoboughtError, NotStored, TooSlow, WarehouseFault
from alsobought.settings import Settings
from alsobought.storage.folder_lock import claim, folder_of, refuse_if_full, release

log = logging.getLogger(__name__)

# Everything a replay leans on; defaults moved between versions, so each is pinned. One batch is one block, hence the sizes.
WRITE_SETTINGS: dict[str, Any] = {
    "async_insert": 0,
    "max_insert_threads": 1,
    "parallel_view_processing": 1,  # a quarter faster; right because views tell earlier from later by seq, in any order
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "materialized_views_ignore_errors": 0,
    "optimize_on_insert": 0,  # parts are summed when they merge; summing each batch took a third of the time
    "max_insert_block_size": 100_000_000,
    "min_insert_block_size_rows": 100_000_000,
    "min_insert_block_size_bytes": 10_000_000_000,
    "input_format_parallel_parsing": 0,
    "date_time_input_format": "best_effort",
}
READ_SETTINGS = {
    "output_format_json_quote_64bit_integers": 0,
    "date_time_output_format": "iso",
    "print_pretty_type_names": 0,  # a type is one line
}
LIMIT_CODES = {158, 159, 160, 241, 307, 396}  # rows, time, time, memory, bytes, result rows


class Column(msgspec.Struct, frozen=True):
    name: str
    type: str


class Statistics(msgspec.Struct, frozen=True):
    elapsed: float
    rows_read: int
    bytes_read: int

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            self.elapsed + other.elapsed, self.rows_read + other.rows_read, self.bytes_read + other.bytes_read
        )


class Rows(msgspec.Struct, frozen=True):
    """An answer: columns with their types, and rows as lists in that order."""

    meta: list[Column]
    data: list[list[Any]]
    statistics: Statistics

    def dicts(self) -> list[dict[str, Any]]:
        names = [column.name for column in self.meta]
        return [dict(zip(names, row, strict=True)) for row in self.data]


def plain_type(name: str) -> str:
    """The type of the values, without how a table merges or stores them.

    >>> plain_type("SimpleAggregateFunction(max, DateTime64(3, 'UTC'))")
    "DateTime64(3, 'UTC')"
    >>> plain_type("Array(LowCardinality(Nullable(String)))")
    'Array(Nullable(String))'
    """
    found = re.fullmatch(r"SimpleAggregateFunction\(\w+, (.+)\)", name)
    plain = found[1] if found else name
    return re.sub(r"LowCardinality\((Nullable\([^()]+(?:\(\d+\))?\)|[^()]+(?:\(\d+\))?)\)", r"\1", plain)


def _identifier(name: str) -> str:
    """A name in quotes, whatever is in it.

    >>> _identifier("a`b\\\\")
    '`a\\\\`b\\\\\\\\`'
    """
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _or_null(name: str) -> str:
    """The type whose values may be missing, too, where the engine has one: a fallback may leave a column out.

    >>> _or_null("UInt8"), _or_null("Map(String, UInt8)")
    ('Nullable(UInt8)', 'Map(String, UInt8)')
    """
    return name if re.match(r"Array|Map|Tuple|Nullable|Variant|Dynamic|JSON", name) else f"Nullable({name})"


_decode_rows = msgspec.json.Decoder(Rows).decode


@dataclass(frozen=True)
class Limits:
    """What one read may cost: seconds, bytes of memory, rows."""

    seconds: float = 5.0
    memory: int = 2_000_000_000
    rows: int = 100_000_000

    def settings(self) -> dict[str, Any]:
        return {
            "max_execution_time": self.seconds,
            "max_memory_usage": self.memory,
            "max_rows_to_read": self.rows,
            "max_threads": 1,
            "timeout_overflow_mode": "throw",
            "allow_introspection_functions": 0,
            "readonly": 1,  # last: nothing can be set after it
        }


class Warehouse:
    """An open database. What writes goes one at a time over one connection; every reading thread gets a connection of its own."""

    def __init__(self, dsn: str, database: str, limits: Limits, min_free: int, reader_dsn: str = "") -> None:
        self.dsn, self.database, self.limits, self._min_free = dsn, database, limits, min_free
        self._reader_dsn = reader_dsn or dsn
        self._local = threading.local()
        self._readers: list[Any] = []
        self._holds_folder = True
        self._writing = threading.RLock()
        self._lock = threading.Lock()
        self._open_write()

    def another(self) -> Warehouse:
        """The same one by other connections, for another thread that writes; the folder stays this one's."""
        other = Warehouse(self.dsn, self.database, self.limits, self._min_free, self._reader_dsn)
        other._holds_folder = False
        return other

    @property
    def embedded(self) -> bool:
        return self.dsn.startswith("chdb:")

    def _connect(self, settings: Mapping[str, Any], dsn: str = "") -> Any:
        from clickhouse_connect import get_client

        dsn = dsn or self.dsn
        try:
            if self.embedded:  # the folder as a path: in a dsn, # and % would mean something
                path = str(self.folder) if self.folder else ":memory:"
                return get_client(interface="chdb", path=path, chdb_options=dict(settings))
            return get_client(dsn=dsn, settings=dict(settings))
        except Exception as error:
            address = re.sub(r"//.*@", "//", dsn)  # a password is for nobody's log
            raise WarehouseFault(
                f"the warehouse {address} does not open: {_first_line(error)}",
                "Is its address right, and is it running?",
            ) from error

    def _open_write(self) -> None:
        self._write = self._connect({"output_format_json_quote_64bit_integers": 0})
        # The driver searches the whole text of a command, data and all: batches go to the engine directly.
        self._embedded_insert = self._connect_engine() if self.embedded else None

    @contextmanager
    def _renewed_on_error(self) -> Iterator[None]:
        """The connection for writing, for one at a time; a new one after an error, for the reason that `_forget_reader` gives."""
        with self._writing:
            try:
                yield
            except Exception:
                old = (self._write, self._embedded_insert)
                self._open_write()
                for client in filter(None, old):
                    client.close()
                raise

    def _connect_engine(self) -> Any:
        import chdb

        connect: Callable[[str], Any] = chdb.connect
        return connect(str(self.folder.resolve()) if self.folder else ":memory:")

    @property
    def folder(self) -> Path | None:
        """Of an embedded warehouse; None for a server or for memory."""
        return folder_of(self.dsn)

    @property
    def shared(self) -> bool:
        """Whether other processes may change it at the same time."""
        return not self.embedded

    def command(self, sql: str) -> None:
        """One statement that changes something."""
        with _our_errors(WarehouseFault), self._renewed_on_error():
            self._write.command(sql)

    def insert(self, table: str, lines: bytes, token: str = "", columns: Sequence[str] = ()) -> None:
        """One block of rows, as JSON lines. Returns once it and everything the views made of it survives kill -9.

        The text carries the data: the streaming insert of chDB commits the block and skips views that hold a sub-query,
        and an insert from a file leaves the file behind when killed. A table of another database is named with it.
        """
        settings = _write_settings(token)
        full = table if "." in table else f"{self.database}.{table}"
        if folder := self.folder:
            refuse_if_full(folder, len(lines), self._min_free)
        with _our_errors(NotStored), self._renewed_on_error():
            if self._embedded_insert:
                named = f"({', '.join(columns)})" if columns else ""
                into = f"insert into {full} {named} {_clause(settings)} format JSONEachRow\n"
                self._embedded_insert.query(into + lines.decode(), "Null")
            else:
                self._write.raw_insert(full, columns or None, lines, settings=settings, fmt="JSONEachRow")

    def insert_fenced(self, table: str, lines: bytes, token: str, epoch: int) -> None:
        """The same, if no newer epoch stands in `writers`; else nothing is stored and nothing said: ask afterwards.

        The server has the whole text before it begins to ask, so that a sender who sleeps half-way holds nothing up.
        """
        data = quoted(lines.decode())
        select = f"select * from format(JSONEachRow, {quoted(self._structure(table))}, {data})"
        condition = f"where (select max(epoch) from {self.database}.writers) <= {epoch:d}"
        settings = {"max_query_size": len(data) + 1_000_000, "max_threads": 1, "max_parser_depth": 10_000}
        with _our_errors(NotStored), self._renewed_on_error():
            into = f"insert into {self.database}.{table} {_clause(_write_settings(token))}"
            self._write.raw_query(f"{into} {select} {condition}", settings=settings)

    def _structure(self, table: str) -> str:
        """The columns of a table with their defaults, as `format` takes them. Asked for each batch: a migration may change them."""
        sql = (
            "select name, type, default_expression from system.columns"
            " where database = {database:String} and table = {table:String} order by position"
        )
        columns = self.trusted_rows(sql, {"database": self.database, "table": table}).data
        return ", ".join(f"{name} {kind}" + (f" default {given}" if given else "") for name, kind, given in columns)

    def insert_select(self, table: str, select: str, token: str) -> None:
        """One block of rows that the database has already, with the token it was first stored under."""
        with _our_errors(NotStored), self._renewed_on_error():
            self._write.command(
                f"insert into {self.database}.{table} {select} {_clause(_write_settings(token))}, max_threads = 1"
            )

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """A read on this thread's read-only connection.

        Raises TooSlow where a limit was hit, WarehouseFault for everything else.
        """
        return _decode_rows(self.raw(sql, parameters, "JSONCompact"))

    def raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        """The same, as the bytes of a ClickHouse format."""
        with _our_errors(WarehouseFault):
            try:
                answer: bytes = self._reader().raw_query(sql, parameters=dict(parameters or {}), fmt=fmt)
            except Exception as error:
                log.warning("a query failed, its connection is closed: %s", _first_line(error))
                self._forget_reader()
                raise
            return answer

    def trusted_rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Rows:
        """A read of our own on the writer's connection: no limits, and it sees what was just written."""
        return _decode_rows(self.trusted_raw(sql, parameters, "JSONCompact"))

    def trusted_raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        """The same, as the bytes of a ClickHouse format."""
        with _our_errors(WarehouseFault), self._renewed_on_error():
            answer: bytes = self._write.raw_query(sql, parameters=dict(parameters or {}), fmt=fmt)
            return answer

    def to_parquet(self, meta: Sequence[Column], data: Sequence[Sequence[Any]]) -> bytes:
        """Rows as a Parquet file, made by the engine from its own types.

        A name is part of a structure there, in which `default file(…)` would be evaluated: it must not end before its quote.
        """
        names = [column.name for column in meta]
        lines = b"".join(msgspec.json.encode(dict(zip(names, row, strict=True))) + b"\n" for row in data)
        structure = ", ".join(f"{_identifier(column.name)} {_or_null(column.type)}" for column in meta)
        sql = "select * from format(JSONEachRow, {structure:String}, {lines:String})"
        sql += " settings date_time_input_format = 'best_effort'"
        with _our_errors(WarehouseFault):
            limits = {name: value for name, value in self.limits.settings().items() if name != "readonly"}
            client = self._connect(limits)  # read-only connections may not use format()
            try:
                given = {"structure": structure, "lines": lines.decode()}
                answer: bytes = client.raw_query(sql, parameters=given, fmt="Parquet")
                return answer
            finally:
                client.close()

    def value(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The first column of the first row, or None."""
        data = self.rows(sql, parameters).data
        return data[0][0] if data else None

    def describe(self, select: str, parameters: Mapping[str, Any]) -> list[Column]:
        """The columns a SELECT would answer with, without running it."""
        return [
            Column(row[0], plain_type(row[1])) for row in self.rows(f"describe table (\n{select}\n)", parameters).data
        ]

    @cached_property
    def version(self) -> str:
        """Of the engine."""
        return str(self.value("select version()"))

    def tables(self) -> frozenset[str]:
        """The project's own tables and dictionaries."""
        sql = "select name from system.tables where database = {database:String}"
        return frozenset(row[0] for row in self.rows(sql, {"database": self.database}).data)

    def schema(self) -> dict[str, dict[str, str]]:
        """{table or dictionary of the project: {its columns, in their order: their types}}"""
        sql = (
            "select table, groupArray(name), groupArray(type) from (select table, name, type from system.columns"
            " where database = {database:String} order by table, position) group by table"
        )
        found = self.rows(sql, {"database": self.database}).data
        return {table: dict(zip(names, types, strict=True)) for table, names, types in found}

    def _reader(self) -> Any:
        client = getattr(self._local, "client", None)
        if client is None:
            client = self._connect({**READ_SETTINGS, **self.limits.settings()}, self._reader_dsn)
            client.database = self.database
            with self._lock:
                self._readers.append(client)
            self._local.client = client
        return client

    def _forget_reader(self) -> None:
        """After an error chDB may put what it had begun to print in front of the connection's next answer: take a new one."""
        client = self._local.__dict__.pop("client", None)
        if client:
            with self._lock:
                self._readers.remove(client)
            client.close()

    def close(self) -> None:
        with self._lock:
            for client in [*self._readers, self._write, self._embedded_insert]:
                if client:
                    client.close()
            self._readers.clear()
        if self._holds_folder and (folder := self.folder):
            release(folder)


def open_warehouse(settings: Settings, *, create: bool = True, must_exist: bool = True) -> Warehouse:
    """The warehouse of these settings, its folder and database made if need be and `create` says so.

    Raises WarehouseFault if another process holds the folder or it cannot be written, or if there is no database, unless
    `must_exist` is false.
    """
    if folder := folder_of(settings.warehouse_dsn):
        claim(folder, create)
    limits = Limits(settings.query_seconds, settings.query_memory, settings.query_rows)
    reader = "" if settings.warehouse_dsn.startswith("chdb:") else settings.reader_dsn
    warehouse = Warehouse(settings.warehouse_dsn, settings.database, limits, settings.min_free_bytes, reader)
    if create:
        warehouse.command(f"create database if not exists {settings.database}")
    elif must_exist:
        _refuse_without_database(warehouse)
    return warehouse


def _refuse_without_database(warehouse: Warehouse) -> None:
    sql = "select count() from system.databases where name = {database:String}"
    if not int(warehouse.trusted_rows(sql, {"database": warehouse.database}).data[0][0]):
        where = folder_of(warehouse.dsn) or re.sub(r"//.*@", "//", warehouse.dsn)
        warehouse.close()
        raise WarehouseFault(
            f"there is no database {warehouse.database} in {where}",
            "`alsobought migrate up` makes it, or name another in ALSOBOUGHT_DATABASE",
        )


def quoted(text: str) -> str:
    """A text as a literal of SQL, for statements of our own.

    >>> print(quoted("it's a \\\\"))
    'it\\'s a \\\\'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def one_block() -> str:
    """The settings of an INSERT … SELECT whose rows become one part, whatever was inserted before."""
    return _clause(WRITE_SETTINGS | {"insert_deduplicate": 0})


def _write_settings(token: str) -> dict[str, Any]:
    return WRITE_SETTINGS | ({"insert_deduplication_token": token} if token else {})


def _clause(settings: Mapping[str, Any]) -> str:
    """`settings a = 1, b = 'text'`"""
    return "settings " + ", ".join(f"{key} = {value!r}" for key, value in settings.items())


@contextmanager
def _our_errors(kind: type[AlsoboughtError]) -> Iterator[None]:
    """Turns what the driver raises into our tree; the engine's words stay in the chained exception and the log."""
    try:
        yield
    except AlsoboughtError:
        raise
    except Exception as error:
        code = getattr(error, "code", None) or _code(str(error))
        if code in LIMIT_CODES:
            raise TooSlow(f"stopped by a limit: {_first_line(error)}", "Ask for less") from error
        raise kind(_first_line(error)) from error


def _code(message: str) -> int:
    digits = message.partition("Code: ")[2].partition(".")[0]
    return int(digits) if digits.isdigit() else 0


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n", 1)[0]
    if found := re.search(r"\[Errno -?\d+\] ([\w ]+)", text):  # of many words around it by the HTTP client
        return found[1].lower()
    return text.partition("DB::Exception: ")[2] or text or type(error).__name__
