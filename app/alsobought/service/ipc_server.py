"""The process that holds an embedded warehouse answers the commands beside it (`service.ipc_client`).

What a reader would guess wrong: every client has connections of its own, since those of the writer belong to the writer's
thread; but what visitors submit goes through the one writer.
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
from alsobought.events import Event, Item
from alsobought.service.ipc_protocol import SOCKET, Call, Line, Reply, Rows, address, fault_of
from alsobought.service.maintenance import do
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import Stored, Submission, submit_when_there_is_room
from alsobought.writer.writer import Writer

log = logging.getLogger(__name__)

METHODS = ("raw", "trusted_raw", "command", "insert")


class IpcServer:
    """Answers visitors until it is closed. `opened` makes a warehouse for each."""

    def __init__(self, folder: Path, writer: Writer, opened: Callable[[], Warehouse]) -> None:
        self._socket, self._writer, self._opened = folder / SOCKET, writer, opened
        self._lines: set[Line] = set()
        self._socket.unlink(missing_ok=True)  # left behind by a kill: the folder is ours now
        self._listener = socket.socket(socket.AF_UNIX)
        with address(folder) as path:
            self._listener.bind(path)
        self._socket.chmod(0o600)
        self._listener.listen()
        threading.Thread(target=self._listen, name="holder", daemon=True).start()

    def close(self) -> None:
        self._socket.unlink(missing_ok=True)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in list(self._lines):
            line.close()

    def _listen(self) -> None:
        with suppress(OSError):  # closed
            while True:
                line = Line(self._listener.accept()[0])
                self._lines.add(line)
                threading.Thread(target=self._receive, args=(line,), name="client", daemon=True).start()

    def _receive(self, line: Line) -> None:
        try:
            warehouse = self._opened()
            try:
                visit = _Visit(warehouse, self._writer, line)
                while message := line.receive():
                    visit.answer(msgspec.msgpack.decode(message, type=Call))
            finally:
                warehouse.close()
        except OSError:
            pass  # the client is gone
        except Exception:
            log.exception("a command beside this process was not answered")
        finally:
            self._lines.discard(line)
            line.close()


class _Visit:
    """One client, with a warehouse of its own and the writer of all."""

    def __init__(self, warehouse: Warehouse, writer: Writer, line: Line) -> None:
        self._warehouse, self._writer, self._line = warehouse, writer, line
        self._submitted: dict[int, Future[Stored]] = {}

    def answer(self, call: Call) -> None:
        try:
            if call.method == "submit":
                self._submit(call.number, msgspec.convert(call.arguments[0], Rows))
            else:
                self._line.send(Reply(call.number, self._value(call)))
        except AlsoboughtError as error:
            self._line.send(Reply(call.number, fault=fault_of(error)))

    def _value(self, call: Call) -> Any:
        if call.method == "hello":
            return version("alsobought")
        if call.method == "do":
            return do(self._writer, *call.arguments)
        if call.method not in METHODS:
            raise WarehouseFault(f"the running process does not know {call.method!r}", "Start it again")
        return getattr(self._warehouse, call.method)(*call.arguments)

    def _submit(self, number: int, rows: Rows) -> None:
        """Hands rows to the writer. While that is behind, nothing more is read from the client."""
        kind: Any = list[Item] if rows.of_items else list[Event]
        decoded = msgspec.msgpack.decode(rows.encoded, type=kind)
        after = None if rows.after is None else self._submitted.get(rows.after)
        submission = Submission(decoded, rows.source, rows.offsets, after, rows.partition)
        self._submitted = {number: submission.done}  # only the latest can be waited for
        submission.done.add_done_callback(lambda done: self._tell(number, done))
        submit_when_there_is_room(self._writer, submission)

    def _tell(self, number: int, done: Future[Stored]) -> None:
        error = done.exception()
        if error is None:
            reply = Reply(number, done.result())
        else:
            reply = Reply(
                number, fault=fault_of(error if isinstance(error, AlsoboughtError) else NotStored(str(error)))
            )
        with suppress(OSError):  # the client is gone; what is stored is stored
            self._line.send(reply)
