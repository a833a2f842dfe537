"""Messages between a command and the process that holds the data folder.

They pass over a Unix socket in that folder. Each is msgpack, preceded by its length. Calls are
numbered, since replies may overtake one another.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from alsobought import errors
from alsobought.errors import AlsoboughtError
from alsobought.writer.submission import Kind

SOCKET = "alsobought.sock"


class RemoteError(msgspec.Struct):
    """An AlsoboughtError in transit: the name of its class, its texts, and the text of its cause."""

    kind: str
    message: str
    hint: str
    cause: str


class Call(msgspec.Struct):
    """`method` is a method of the warehouse, or `submit`, `run_task` or `version`."""

    number: int
    method: str
    arguments: list[Any]


class Reply(msgspec.Struct):
    number: int
    value: Any = None
    error: RemoteError | None = None


class SubmittedRows(msgspec.Struct):
    """A submission to the writer. `after` is the number of the call that must be stored first."""

    kind: Kind
    encoded: bytes
    source: str
    offsets: list[int] | None
    after: int | None
    partition: int = 0


def encode_error(error: AlsoboughtError) -> RemoteError:
    return RemoteError(type(error).__name__, error.message, error.hint, str(error.__cause__ or ""))


def decode_error(remote: RemoteError) -> AlsoboughtError:
    kind = getattr(errors, remote.kind, AlsoboughtError)
    error: AlsoboughtError = kind(remote.message, remote.hint)
    if remote.cause:
        error.__cause__ = AlsoboughtError(remote.cause)
    return error


class Connection:
    """One end of a connection. Several threads may send; one receives."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket, self._lock = connected, threading.Lock()

    def send(self, message: Call | Reply) -> None:
        data = msgspec.msgpack.encode(message)
        with self._lock:
            self._socket.sendall(len(data).to_bytes(8, "big") + data)

    def receive(self) -> bytes:
        """The next message; empty once the other end has closed."""
        head = self._read(8)
        return self._read(int.from_bytes(head, "big")) if head else b""

    def _read(self, size: int) -> bytes:
        buffer = bytearray()
        while len(buffer) < size:
            chunk = self._socket.recv(min(size - len(buffer), 1 << 20))
            if not chunk:
                return b""
            buffer += chunk
        return bytes(buffer)

    def close(self) -> None:
        with suppress(OSError):  # wakes the thread that receives
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@contextmanager
def socket_path(folder: Path) -> Iterator[str]:
    """A short path of the socket: the system limits it to 107 bytes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET}" if Path("/proc/self/fd").is_dir() else str(folder / SOCKET)
    finally:
        os.close(descriptor)
