"""What a command and the process that holds the folder say to each other, over a socket in that folder.

Messages of msgpack, each behind its length. Calls are numbered, since their answers may overtake each other.
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

SOCKET = "alsobought.sock"


class Fault(msgspec.Struct):
    """One of our errors on its way: its class, its words, and those of its cause."""

    kind: str
    message: str
    hint: str
    cause: str


class Call(msgspec.Struct):
    """`method` is one of the warehouse, or `submit`, or `hello`."""

    number: int
    method: str
    arguments: list[Any]


class Reply(msgspec.Struct):
    number: int
    value: Any = None
    fault: Fault | None = None


class Rows(msgspec.Struct):
    """Events or items on their way to the writer; `after` is the number of the call that must be stored before."""

    of_items: bool
    encoded: bytes
    source: str
    offsets: list[int] | None
    after: int | None
    partition: int = 0


def fault_of(error: AlsoboughtError) -> Fault:
    return Fault(type(error).__name__, error.message, error.hint, str(error.__cause__ or ""))


def error_of(fault: Fault) -> AlsoboughtError:
    kind = getattr(errors, fault.kind, AlsoboughtError)
    error: AlsoboughtError = kind(fault.message, fault.hint)
    if fault.cause:
        error.__cause__ = AlsoboughtError(fault.cause)
    return error


class Line:
    """One side of a connection. Several threads may send; one receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection, self._lock = connection, threading.Lock()

    def send(self, message: Call | Reply) -> None:
        data = msgspec.msgpack.encode(message)
        with self._lock:
            self._connection.sendall(len(data).to_bytes(8, "big") + data)

    def receive(self) -> bytes:
        """The next message; empty when the other side has ended."""
        head = self._read(8)
        return self._read(int.from_bytes(head, "big")) if head else b""

    def _read(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self._connection.recv(min(size - len(parts), 1 << 20))
            if not part:
                return b""
            parts += part
        return bytes(parts)

    def close(self) -> None:
        with suppress(OSError):  # wakes the thread that receives
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


@contextmanager
def address(folder: Path) -> Iterator[str]:
    """The path of the socket, by a name that is short enough: the system takes 107 bytes."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{opened}/{SOCKET}" if Path("/proc/self/fd").is_dir() else str(folder / SOCKET)
    finally:
        os.close(opened)
