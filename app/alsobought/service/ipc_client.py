"""A command that needs the warehouse opens the folder itself or, when another process holds it, asks that one.

The code of a command is the same in both cases: it gets a warehouse and a writer, its own or ones that stand for the holder's.
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
from alsobought.service.ipc_protocol import SOCKET, Call, Line, Reply, Rows, address, error_of
from alsobought.service.service import Service, open_service
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.folder_lock import folder_of, holder_of
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import Stored, Submission


class IpcClient:
    """A connection to the process that holds a folder. Calls may overlap: each is answered in a future."""

    def __init__(self, folder: Path) -> None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            with address(folder) as path:
                connection.connect(path)
        except OSError:
            connection.close()
            raise
        self._line = Line(connection)
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Any]] = {}
        self._ended = False
        threading.Thread(target=self._receive, name="answers", daemon=True).start()

    def call(self, method: str, *arguments: Any) -> tuple[int, Future[Any]]:
        """The number of the call, and the future that has its answer or raises one of our errors."""
        answer: Future[Any] = Future()
        with self._lock:
            number = next(self._numbers)
            if self._ended:
                answer.set_exception(_gone())
                return number, answer
            self._waiting[number] = answer
        with suppress(OSError):  # the thread that receives sees the end and tells
            self._line.send(Call(number, method, list(arguments)))
        return number, answer

    def ask(self, method: str, *arguments: Any) -> Any:
        return self.call(method, *arguments)[1].result()

    def close(self) -> None:
        self._line.close()

    def _receive(self) -> None:
        with suppress(OSError):
            while message := self._line.receive():
                reply = msgspec.msgpack.decode(message, type=Reply)
                answer = self._waiting.pop(reply.number)
                if reply.fault:
                    answer.set_exception(error_of(reply.fault))
                else:
                    answer.set_result(reply.value)
        with self._lock:
            self._ended = True
        self._line.close()
        for answer in self._waiting.values():
            answer.set_exception(_gone())


def _gone() -> WarehouseFault:
    return WarehouseFault("the process that holds the folder has ended", "Run the command again")


class RemoteWarehouse(Warehouse):
    """The warehouse of the process that holds the folder."""

    def __init__(self, client: IpcClient, settings: Settings) -> None:
        self.dsn, self.database, self._ipc_client = settings.warehouse_dsn, settings.database, client

    @property
    def shared(self) -> bool:
        return True

    def raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        answer: bytes = self._ipc_client.ask("raw", sql, parameters, fmt)
        return answer

    def trusted_raw(self, sql: str, parameters: Mapping[str, Any] | None, fmt: str) -> bytes:
        answer: bytes = self._ipc_client.ask("trusted_raw", sql, parameters, fmt)
        return answer

    def command(self, sql: str) -> None:
        self._ipc_client.ask("command", sql)

    def insert(self, table: str, lines: bytes, token: str = "", columns: Sequence[str] = ()) -> None:
        self._ipc_client.ask("insert", table, lines, token, columns)

    def ask(self, method: str, *arguments: Any) -> Any:
        return self._ipc_client.ask(method, *arguments)

    def close(self) -> None:
        self._ipc_client.close()


class RemoteWriter:
    """The writer of the holder."""

    def __init__(self, client: IpcClient, warehouse: Warehouse, settings: Settings) -> None:
        self.settings, self.warehouse, self._ipc_client = settings, warehouse, client
        self._latest: tuple[int, Future[Stored] | None] = (0, None)

    def submit(self, submission: Submission) -> Future[Stored]:
        number, before = self._latest
        after = number if before is not None and submission.after is before else None
        encoded = msgspec.msgpack.encode(submission.rows)
        offsets = None if submission.offsets is None else list(submission.offsets)
        rows = Rows(submission.of_items, encoded, submission.source, offsets, after, submission.partition)
        number, answer = self._ipc_client.call("submit", rows)
        answer.add_done_callback(lambda told: _pass_on(told, submission.done))
        self._latest = (number, submission.done)
        return submission.done


def _pass_on(told: Future[Any], done: Future[Stored]) -> None:
    if error := told.exception():
        done.set_exception(error)
    else:
        done.set_result(msgspec.convert(told.result(), Stored))


@dataclass(frozen=True)
class RemoteService:
    """What a command needs of the holder's shop."""

    settings: Settings
    warehouse: RemoteWarehouse
    writer: RemoteWriter

    def do(self, task: str, *arguments: Any) -> Any:
        return self.warehouse.ask("do", task, *arguments)

    def close(self) -> None:
        self.warehouse.close()


def reach_warehouse(settings: Settings, *, create: bool = True, must_exist: bool = True) -> Warehouse:
    """The warehouse of these settings: our own, or that of the process that holds the folder.

    Raises WarehouseFault as `open_warehouse` does, and if the holder is of another version.
    """
    client = _ipc_client(settings)
    if client:
        return RemoteWarehouse(client, settings)
    return open_warehouse(settings, create=create, must_exist=must_exist)


def answers(settings: Settings) -> bool:
    """Whether a process holds the folder of these settings and can be asked."""
    client = _ipc_client(settings)
    if client:
        client.close()
    return client is not None


def reach_service(settings: Settings, *, create: bool = True) -> Service | RemoteService:
    """The same with a writer. Raises WarehouseFault, MigrationFault."""
    client = _ipc_client(settings)
    if not client:
        return open_service(settings, create=create)
    warehouse = RemoteWarehouse(client, settings)
    return RemoteService(settings, warehouse, RemoteWriter(client, warehouse, settings))


def _ipc_client(settings: Settings) -> IpcClient | None:
    """A connection to the process that holds the folder; None if none does, or one that does not answer, such as a load."""
    folder = folder_of(settings.warehouse_dsn)
    if folder is None or not holder_of(folder) or not (folder / SOCKET).exists():
        return None
    try:
        client = IpcClient(folder)
    except OSError:
        return None
    ours, theirs = version("alsobought"), client.ask("hello")
    if ours != theirs:
        client.close()
        raise WarehouseFault(f"the running process is version {theirs}, this command is {ours}", "Start that again")
    return client
