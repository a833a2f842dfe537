"""Serve an embedded warehouse to the commands beside its process (`service.ipc_client`).

Every client gets its own connections to the warehouse, since those of the writer belong to the
writer's thread; rows that clients submit go through the one writer.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from alsobought.errors import AlsoboughtError, NotStored, WarehouseFault
from alsobought.service.ipc_protocol import SOCKET, Call, Connection, Reply, SubmittedRows, encode_error, socket_path
from alsobought.service.maintenance import run_task
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.sharded import AnyWriter
from alsobought.writer.submission import KINDS, Stored, Submission, submit_when_there_is_room

log = logging.getLogger(__name__)

WAREHOUSE_METHODS = ("raw", "trusted_raw", "command", "insert")


class IpcServer:
    """Serves clients until it is closed. `open_warehouse` makes a warehouse for each client."""

    def __init__(self, folder: Path, writer: AnyWriter, open_warehouse: Callable[[], Warehouse]) -> None:
        self._path, self._writer, self._open_warehouse = folder / SOCKET, writer, open_warehouse
        self._connections: set[Connection] = set()
        self._path.unlink(missing_ok=True)  # left by a killed process: the folder is ours now
        self._listener = socket.socket(socket.AF_UNIX)
        with socket_path(folder) as path:
            self._listener.bind(path)
        self._path.chmod(0o600)
        self._listener.listen()
        threading.Thread(target=self._listen, name="ipc-server", daemon=True).start()

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            connection.close()

    def _listen(self) -> None:
        with suppress(OSError):  # closed
            while True:
                connection = Connection(self._listener.accept()[0])
                self._connections.add(connection)
                threading.Thread(target=self._serve, args=(connection,), name="ipc-session", daemon=True).start()

    def _serve(self, connection: Connection) -> None:
        try:
            warehouse = self._open_warehouse()
            try:
                session = _Session(warehouse, self._writer, connection)
                while message := connection.receive():
                    session.handle(msgspec.msgpack.decode(message, type=Call))
            finally:
                warehouse.close()
        except OSError:
            pass  # the client is gone
        except Exception:
            log.exception("a call from a command failed")
        finally:
            self._connections.discard(connection)
            connection.close()


class _Session:
    """One client, with a warehouse of its own and the shared writer."""

    def __init__(self, warehouse: Warehouse, writer: AnyWriter, connection: Connection) -> None:
        self._warehouse, self._writer, self._connection = warehouse, writer, connection
        self._submitted: dict[int, Future[Stored]] = {}

    def handle(self, call: Call) -> None:
        try:
            if call.method == "submit":
                self._submit(call.number, msgspec.convert(call.arguments[0], SubmittedRows))
            else:
                self._connection.send(Reply(call.number, self._result(call)))
        except AlsoboughtError as error:
            self._connection.send(Reply(call.number, error=encode_error(error)))

    def _result(self, call: Call) -> Any:
        if call.method == "version":
            return version("alsobought")
        if call.method == "run_task":
            return run_task(self._writer, *call.arguments)
        if call.method not in WAREHOUSE_METHODS:
            raise WarehouseFault(f"the running process has no method {call.method!r}", "Restart it")
        return getattr(self._warehouse, call.method)(*call.arguments)

    def _submit(self, number: int, rows: SubmittedRows) -> None:
        """Submit rows to the writer.

        Back-pressure: while its queue is full, nothing more is read from the client.
        """
        kind = next(struct for struct, name in KINDS.items() if name == rows.kind)
        decoded: Any = msgspec.msgpack.decode(rows.encoded, type=list[kind])  # type: ignore[valid-type]
        after = None if rows.after is None else self._submitted.get(rows.after)
        submission = Submission(decoded, rows.source, rows.offsets, after, rows.partition)
        self._submitted = {number: submission.done}  # a later call can only refer to the latest
        submission.done.add_done_callback(lambda done: self._reply(number, done))
        submit_when_there_is_room(self._writer, submission)

    def _reply(self, number: int, done: Future[Stored]) -> None:
        error = done.exception()
        if error is None:
            reply = Reply(number, done.result())
        else:
            reported = error if isinstance(error, AlsoboughtError) else NotStored(str(error))
            reply = Reply(number, error=encode_error(reported))
        with suppress(OSError):  # the client is gone; what is stored stays stored
            self._connection.send(reply)
