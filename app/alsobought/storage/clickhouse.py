"""The only connections to ClickHouse: `chdb://folder` in this process, or `http(s)://…` to a server. The SQL is the same.

Importing chdb starts an engine that does not survive a fork, so nothing here imports it before a warehouse is opened, and a
web server opens its warehouse in the worker.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from alsobought.errors import AlsoboughtError, NotStored, TooSlow, WarehouseFault
from alsobought.redaction import shown_address
from alsobought.settings import Settings, reader_addresses
from alsobought.storage.connection_problems import explained, server_options
from alsobought.storage.driver_errors import first_line, is_unanswered, translated_errors
from alsobought.storage.engine_rights import engine_rights
from alsobought.storage.engine_settings import READ_SETTINGS, Limits, write_settings
from alsobought.storage.folder_lock import claim, folder_of, refuse_if_full, release
from alsobought.storage.machine_memory import usable_memory
from alsobought.storage.replicas import (
    PEER_TIMEOUT_SECONDS,
    READ_ONLY,
    Peers,
    PinnedReplica,
    ReplicaChanged,
    replica_settings,
)
from alsobought.storage.sql_text import settings_clause, with_long_parameters
from alsobought.storage.topology import replicas_of
from alsobought.storage.warehouse import Warehouse
from alsobought.tls import TlsFiles

log = logging.getLogger(__name__)

MAX_QUERY_MEMORY = 2_000_000_000
NOT_OPENED = "Error initializing EmbeddedServer"  # the engine's message where it cannot load a table
RESTORING_COMMENT = "a restore has not ended"  # of the database of a server
MAX_TEXT = 5  # bytes of JSON for a byte of the engine's columns: `null,`
MAX_PARAMETER = 30_000  # characters; a server refuses a field of an HTTP form of more than 128 KB


WITHOUT_FILES = TlsFiles("ALSOBOUGHT_DSN")


def tls_files(settings: Settings) -> TlsFiles:
    return TlsFiles(
        "ALSOBOUGHT_DSN",
        settings.dsn_ca,
        settings.dsn_certificate,
        settings.dsn_key,
        verify=settings.dsn_verify,
    )


class ClickHouseWarehouse(Warehouse):
    """A warehouse over connections of its own. Writes go one at a time over one connection; each reading thread has its own."""

    def __init__(
        self,
        dsn: str,
        database: str,
        limits: Limits,
        min_free: int,
        reader_dsn: str = "",
        tls: TlsFiles = WITHOUT_FILES,
        *,
        replicas: Sequence[str] = (),
        quorum: str = "0",
    ) -> None:
        """`replicas` are the DSNs of a shard that has several, `reader_dsn` those with the user that reads, with | in between."""
        self.dsn, self.database, self.limits, self._min_free, self._tls = dsn, database, limits, min_free, tls
        self._reader_dsn, self._replica_dsns, self._quorum = reader_dsn, replicas, quorum
        self._replicas = PinnedReplica(replicas or [dsn], reader_addresses(reader_dsn))
        self._peers = Peers(self._replicas, self._connect_peer)
        self._local = threading.local()
        self._readers: list[Any] = []
        self._holds_folder = True
        self._write_lock = threading.RLock()
        self._readers_lock = threading.Lock()
        self._open_write()

    def another(self) -> ClickHouseWarehouse:
        """The same database over other connections, for another thread that writes; the folder stays with this one."""
        other = ClickHouseWarehouse(
            self.dsn,
            self.database,
            self.limits,
            self._min_free,
            self._reader_dsn,
            self._tls,
            replicas=self._replica_dsns,
            quorum=self._quorum,
        )
        other._holds_folder, other.cluster = False, self.cluster
        return other

    @property
    def shared(self) -> bool:
        return not self.embedded

    # Replicas

    @property
    def replicated(self) -> bool:
        return self._replicas.several

    @property
    def generation(self) -> int:
        """The number of moves to another replica so far."""
        return self._replicas.generation

    def bind(self, generation: int | None) -> None:
        """Lets this thread write only as long as that is the generation. None: without such a bound."""
        self._local.generation = generation

    @property
    def peers(self) -> Peers:
        return self._peers

    def command_on_peers(self, *statements: str) -> bool:
        return self._peers.command(*statements)

    # Writes

    def command(self, sql: str) -> None:
        with translated_errors(WarehouseFault), self._renewed_on_error():
            self._write.command(sql)

    def insert(self, table: str, lines: bytes, token: str = "", columns: Sequence[str] = ()) -> None:
        """Embedded, the text carries the data.

        The streaming insert of chDB commits the block and skips views that contain a sub-query, and an insert from a file
        leaves the file behind when killed.
        """
        settings = write_settings(token)
        full = table if "." in table else f"{self.database}.{table}"
        if folder := self.folder:
            refuse_if_full(folder, len(lines), self._min_free)
        with translated_errors(NotStored), self._renewed_on_error():
            if self._embedded_insert:
                named = f"({', '.join(columns)})" if columns else ""
                into = f"insert into {full} {named} {settings_clause(settings)} format JSONEachRow\n"
                self._embedded_insert.query(into + lines.decode(), "Null")
            else:
                self._write.raw_insert(full, columns or None, lines, settings=settings, fmt="JSONEachRow")

    def insert_native(self, table: str, rows: bytes, columns: Sequence[str] = ()) -> None:
        """Stores rows of our own, in ClickHouse's native format, as one block, never dropped as a duplicate. Raises NotStored.

        The table is named with its database. Embedded, no view may read it (see `insert`).
        """
        if folder := self.folder:
            refuse_if_full(folder, len(rows), self._min_free)
        settings = write_settings("") | {"insert_deduplicate": 0}
        with translated_errors(NotStored), self._renewed_on_error():
            self._write.raw_insert(table, list(columns) or None, rows, settings=settings, fmt="Native")

    def insert_select(self, table: str, select: str, token: str) -> None:
        """Inserts rows that the database already has as one block, with the token they were first stored under."""
        with translated_errors(NotStored), self._renewed_on_error():
            self._write.command(
                f"insert into {self.database}.{table} {select} {settings_clause(write_settings(token))}, max_threads = 1"
            )

    def run_insert(self, sql: str, settings: Mapping[str, int]) -> None:
        """Runs a complete INSERT statement with these settings of the request. Raises NotStored."""
        with translated_errors(NotStored), self._renewed_on_error():
            self._write.raw_query(sql, settings=dict(settings))

    # Reads

    def raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        """Reads on this thread's connection. If its replica does not answer, on the next one that does."""
        with translated_errors(WarehouseFault):
            try:
                result: bytes = self._reader().raw_query(sql, parameters=dict(parameters or {}), fmt=fmt)
            except Exception as error:
                log.warning("query failed, connection closed: %s", first_line(error))
                self._drop_reader()
                if not (self.replicated and is_unanswered(error)):
                    raise
                result = self._reader().raw_query(sql, parameters=dict(parameters or {}), fmt=fmt)
            self._require_size(result)
            return result

    def _require_size(self, result: bytes) -> None:
        """Raises TooSlow for a text that is too large: the engine counts a constant once, in however many rows it is."""
        most = MAX_TEXT * self.limits.answer_bytes
        if len(result) > most:
            raise TooSlow(f"stopped by a limit: Limit for result exceeded, {most:,} bytes of text", "Request less data")

    def trusted_raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        with translated_errors(WarehouseFault), self._renewed_on_error():
            short, settings = dict(parameters or {}), dict[str, int]()
            if self.shared:
                sql, short, settings = with_long_parameters(sql, short, MAX_PARAMETER)
            result: bytes = self._write.raw_query(sql, parameters=short, settings=settings, fmt=fmt)
            return result

    def raw_with_table_functions(self, sql: str, parameters: Mapping[str, Any], fmt: str) -> bytes:
        """A read of our own on a new connection, under the usual limits. Read-only connections may not call `format()`."""
        with translated_errors(WarehouseFault):
            limits = {name: value for name, value in self.limits.settings().items() if name != "readonly"}
            client = self._connect(limits)
            try:
                result: bytes = client.raw_query(sql, parameters=dict(parameters), fmt=fmt)
                return result
            finally:
                client.close()

    # Connections

    def _connect(self, settings: Mapping[str, Any], dsn: str = "", **options: Any) -> Any:
        from clickhouse_connect import get_client

        dsn = dsn or self.dsn
        path = (str(self.folder) if self.folder else ":memory:") if self.embedded else ""
        try:
            if path:  # the folder as a path: in a DSN, # and % have a meaning
                return get_client(interface="chdb", path=path, chdb_options={**engine_rights(), **settings})
            return get_client(dsn=dsn, settings=dict(settings), **server_options(dsn, self._tls), **options)
        except AlsoboughtError:
            raise
        except Exception as error:
            if not path and (problem := explained(error, dsn, self._tls, self._variable(dsn))):
                raise WarehouseFault(*problem) from error
            raise WarehouseFault(
                f"cannot open the warehouse {path or shown_address(dsn)}: {first_line(error)}",
                "A table is damaged: run `alsobought repair`"
                if NOT_OPENED in str(error)
                else "Is its address right, and is it running?",
            ) from error

    def _variable(self, dsn: str) -> str:
        """The setting that this address is from."""
        if dsn in self._replica_dsns:
            return "ALSOBOUGHT_SHARDS"
        return "ALSOBOUGHT_DSN" if dsn == self.dsn else "ALSOBOUGHT_READER_DSN"

    def _connect_first(self, dsns: Sequence[str], settings: Mapping[str, Any]) -> tuple[str, Any]:
        """The first of these servers that answers, and a connection to it. Raises WarehouseFault if none does."""
        for dsn in dsns[:-1]:
            with suppress(WarehouseFault):
                return dsn, self._connect(settings, dsn)
        return dsns[-1], self._connect(settings, dsns[-1])

    def _connect_peer(self, dsn: str) -> Any:
        timeout = PEER_TIMEOUT_SECONDS
        settings = {"output_format_json_quote_64bit_integers": 0, "receive_timeout": timeout}
        return self._connect(settings, dsn, connect_timeout=timeout, send_receive_timeout=2 * timeout)

    def _connect_engine(self) -> Any:
        import chdb

        connect: Callable[[str], Any] = chdb.connect
        return connect(str(self.folder.resolve()) if self.folder else ":memory:")

    def _open_write(self, *, elsewhere: bool = False) -> None:
        """To the pinned replica if it answers, or with `elsewhere`, if no other one does."""
        settings: dict[str, Any] = {"output_format_json_quote_64bit_integers": 0}
        if self.replicated:
            settings |= replica_settings(self._quorum)
        dsn, self._write = self._connect_first(self._replicas.in_order(but_pinned=elsewhere), settings)
        self._replicas.pin(dsn)
        self.dsn = dsn
        # The driver searches the whole text of a command, data included: batches go to the engine directly.
        self._embedded_insert = self._connect_engine() if self.embedded else None

    @contextmanager
    def _renewed_on_error(self) -> Iterator[None]:
        """Holds the write connection; replaces it after an error, for the reason that `_drop_reader` gives.

        Raises ReplicaChanged on a thread that is bound to an earlier generation.
        """
        with self._write_lock:
            if getattr(self._local, "generation", None) not in (None, self.generation):
                raise ReplicaChanged("the writer moved to another replica", "What was not stored may be sent again")
            try:
                yield
            except Exception as error:
                old = (self._write, self._embedded_insert)
                self._open_write(elsewhere=self.replicated and READ_ONLY in str(error))
                for client in filter(None, old):
                    client.close()
                raise

    def _reader(self) -> Any:
        client = getattr(self._local, "client", None)
        if client and self._local.reads_from != self.generation:
            self._drop_reader()
            client = None
        if client is None:
            self._local.reads_from = self.generation
            dsns = self._replicas.readers_in_order()
            client = self._connect_first(dsns, {**READ_SETTINGS, **self.limits.settings()})[1]
            client.database = self.database
            with self._readers_lock:
                self._readers.append(client)
            self._local.client = client
        return client

    def _drop_reader(self) -> None:
        """After an error chDB may prepend the output it had begun to the connection's next result, so none is reused."""
        client = self._local.__dict__.pop("client", None)
        if client:
            with self._readers_lock:
                self._readers.remove(client)
            client.close()

    def close(self) -> None:
        with self._readers_lock:
            for client in [*self._readers, self._write, self._embedded_insert]:
                if client:
                    client.close()
            self._readers.clear()
        self._peers.close()
        if self._holds_folder and (folder := self.folder):
            release(folder)


def limits_of(settings: Settings) -> Limits:
    return Limits(
        settings.query_seconds,
        settings.query_memory or min(MAX_QUERY_MEMORY, usable_memory() // 8),
        settings.query_rows,
        settings.answer_rows,
        settings.answer_bytes,
    )


def open_warehouse(settings: Settings, *, create: bool = True, must_exist: bool = True) -> ClickHouseWarehouse:
    """The warehouse of these settings. With `create`, a missing folder and database are created.

    Raises WarehouseFault if another process holds the folder, if it cannot be written, or if there is no database, unless
    `must_exist` is false.
    """
    if folder := folder_of(settings.warehouse_dsn):
        claim(folder, create)
    limits = limits_of(settings)
    reader = "" if settings.warehouse_dsn.startswith("chdb:") else settings.reader_dsn
    warehouse = ClickHouseWarehouse(
        settings.warehouse_dsn,
        settings.database,
        limits,
        settings.min_free_bytes,
        reader,
        tls_files(settings),
        replicas=replicas_of(settings),
        quorum=settings.insert_quorum,
    )
    if create:
        warehouse.command(f"create database if not exists {settings.database}")
    elif must_exist:
        _refuse_without_database(warehouse)
    if warehouse.shared and (create or must_exist):
        _refuse_half_restored(warehouse)
    return warehouse


def _refuse_without_database(warehouse: Warehouse) -> None:
    sql = "select count() from system.databases where name = {database:String}"
    if not int(warehouse.trusted_rows(sql, {"database": warehouse.database}).data[0][0]):
        location = folder_of(warehouse.dsn) or shown_address(warehouse.dsn)
        warehouse.close()
        raise WarehouseFault(
            f"there is no database {warehouse.database} in {location}",
            "Create it with `alsobought migrate up`, or name another in ALSOBOUGHT_DATABASE",
        )


def _refuse_half_restored(warehouse: Warehouse) -> None:
    sql = "select comment from system.databases where name = {database:String}"
    if [tuple(row) for row in warehouse.trusted_rows(sql, {"database": warehouse.database}).data] == [
        (RESTORING_COMMENT,)
    ]:
        warehouse.close()
        raise WarehouseFault(
            f"the database {warehouse.database} was not restored completely", "Run `alsobought restore` into it again"
        )
