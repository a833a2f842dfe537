"""Give a command a warehouse and a writer: its own, or those of the process that holds the folder.

The command's code is the same in both cases: `RemoteWarehouse` and `RemoteWriter` forward calls
over the socket of `service.ipc_server`.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from alsobought.errors import WarehouseFault
from alsobought.service.ipc_protocol import SOCKET, Call, Connection, Reply, SubmittedRows, decode_error, socket_path
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.storage.cluster import open_any
from alsobought.storage.folder_lock import folder_of, holder_of
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import Stored, Submission


class IpcClient:
    """A connection to the process that holds a folder.

    Calls may overlap; each has its own future.
    """

    def __init__(self, folder: Path) -> None:
        connected = socket.socket(socket.AF_UNIX)
        try:
            with socket_path(folder) as path:
                connected.connect(path)
        except OSError:
            connected.close()
            raise
        self._connection = Connection(connected)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._pending: dict[int, Future[Any]] = {}
        self._ended = False
        threading.Thread(target=self._receive, name="ipc-client", daemon=True).start()

    def call_async(self, method: str, *arguments: Any) -> tuple[int, Future[Any]]:
        """Send a call.

        Returns its number and the future of its result, which may raise an AlsoboughtError.
        """
        result: Future[Any] = Future()
        with self._lock:
            number = next(self._numbers)
            if self._ended:
                result.set_exception(_ended())
                return number, result
            self._pending[number] = result
        with suppress(OSError):  # the receiving thread sees the end and fails the future
            self._connection.send(Call(number, method, list(arguments)))
        return number, result

    def call(self, method: str, *arguments: Any) -> Any:
        return self.call_async(method, *arguments)[1].result()

    def close(self) -> None:
        self._connection.close()

    def _receive(self) -> None:
        with suppress(OSError):
            while message := self._connection.receive():
                reply = msgspec.msgpack.decode(message, type=Reply)
                result = self._pending.pop(reply.number)
                if reply.error:
                    result.set_exception(decode_error(reply.error))
                else:
                    result.set_result(reply.value)
        with self._lock:
            self._ended = True
        self._connection.close()
        for result in self._pending.values():
            result.set_exception(_ended())


def _ended() -> WarehouseFault:
    return WarehouseFault("the process that holds the folder has ended", "Run the command again")


class RemoteWarehouse(Warehouse):
    """The warehouse of the process that holds the folder: forwards each call to it."""

    def __init__(self, client: IpcClient, settings: Settings) -> None:
        self.dsn, self.database, self._ipc_client = settings.warehouse_dsn, settings.database, client

    @property
    def shared(self) -> bool:
        return True

    def raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        result: bytes = self._ipc_client.call("raw", sql, parameters, fmt)
        return result

    def trusted_raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        result: bytes = self._ipc_client.call("trusted_raw", sql, parameters, fmt)
        return result

    def command(self, sql: str) -> None:
        self._ipc_client.call("command", sql)

    def insert(self, table: str, lines: bytes, token: str = "", columns: Sequence[str] = ()) -> None:
        self._ipc_client.call("insert", table, lines, token, columns)

    def call(self, method: str, *arguments: Any) -> Any:
        return self._ipc_client.call(method, *arguments)

    def close(self) -> None:
        self._ipc_client.close()


class RemoteWriter:
    """The writer of the process that holds the folder."""

    def __init__(self, client: IpcClient, warehouse: Warehouse, settings: Settings) -> None:
        self.settings, self.warehouse, self._ipc_client = settings, warehouse, client
        self._latest: tuple[int, Future[Stored] | None] = (0, None)

    def submit(self, submission: Submission) -> Future[Stored]:
        latest_number, latest = self._latest
        after = latest_number if latest is not None and submission.after is latest else None
        encoded = msgspec.msgpack.encode(submission.rows)
        offsets = None if submission.offsets is None else list(submission.offsets)
        rows = SubmittedRows(submission.kind, encoded, submission.source, offsets, after, submission.partition)
        number, result = self._ipc_client.call_async("submit", rows)
        result.add_done_callback(lambda result: _forward(result, submission.done))
        self._latest = (number, submission.done)
        return submission.done


def _forward(result: Future[Any], done: Future[Stored]) -> None:
    if error := result.exception():
        done.set_exception(error)
    else:
        done.set_result(msgspec.convert(result.result(), Stored))


@dataclass(frozen=True)
class RemoteService:
    """The part of a `Service` that commands use, in the process that holds the folder."""

    settings: Settings
    warehouse: RemoteWarehouse
    writer: RemoteWriter

    def do(self, task: str, *arguments: Any) -> Any:
        return self.warehouse.call("run_task", task, *arguments)

    def close(self) -> None:
        self.warehouse.close()


def reach_warehouse(settings: Settings, *, create: bool = True, must_exist: bool = True) -> Warehouse:
    """The warehouse of these settings: opened here, or that of the process that holds the folder.

    Raises WarehouseFault as `open_warehouse` does, and if that process runs another version.
    """
    client = _ipc_client(settings)
    if client:
        return RemoteWarehouse(client, settings)
    return open_any(settings, create=create, must_exist=must_exist)


def is_reachable(settings: Settings) -> bool:
    """True if a process holds the folder of these settings and serves calls."""
    client = _ipc_client(settings)
    if client:
        client.close()
    return client is not None


def reach_service(settings: Settings, *, create: bool = True) -> Service | RemoteService:
    """Like `reach_warehouse`, with a writer. Raises WarehouseFault, MigrationFault."""
    client = _ipc_client(settings)
    if not client:
        return open_service(settings, create=create)
    warehouse = RemoteWarehouse(client, settings)
    return RemoteService(settings, warehouse, RemoteWriter(client, warehouse, settings))


def _ipc_client(settings: Settings) -> IpcClient | None:
    """A connection to the process that holds the folder; None without one that serves calls."""
    folder = folder_of(settings.warehouse_dsn)
    if folder is None or not holder_of(folder) or not (folder / SOCKET).exists():
        return None
    try:
        client = IpcClient(folder)
    except OSError:
        return None
    ours, theirs = version("alsobought"), client.call("version")
    if ours != theirs:
        client.close()
        raise WarehouseFault(f"the running process is version {theirs}, this command is {ours}", "Restart it")
    return client
