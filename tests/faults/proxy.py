"""A TCP proxy that simulates faults of a network: connections refused, delays, replies cut off."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

RESET = struct.pack("ii", 1, 0)  # close with RST, so that the peer gets an error, not end of file


@dataclass
class Proxy:
    """Drops the first `cuts` replies to requests with all of `marks` in them, and closes their connections.

    With `refuses_then`, it refuses all connections from then on.
    """

    target: tuple[str, int]
    listener: socket.socket
    refuses: bool = False
    refuses_then: bool = False
    delay: float = 0.0
    cuts: int = 0
    marks: tuple[bytes, ...] = ()
    cut: int = 0
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def refuse(self) -> None:
        """Refuse new connections and close the present ones."""
        self.refuses = True
        for connection in list(self._open):
            _close(connection)

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refuses:
                _close(client)
                continue
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.target)
        except OSError:
            _close(client)
            return
        self._open += [client, server]
        request = bytearray()
        replies = threading.Thread(target=self._forward_replies, args=(client, server, request), daemon=True)
        replies.start()
        with suppress(OSError):
            while data := client.recv(65_536):
                request += data
                time.sleep(self.delay)
                server.sendall(data)
        _close(server)
        replies.join()
        for connection in (client, server):
            _close(connection)
            self._open.remove(connection)

    def _forward_replies(self, client: socket.socket, server: socket.socket, request: bytearray) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                if self.cut < self.cuts and self.marks and all(mark in request for mark in self.marks):
                    self.refuses |= self.refuses_then
                    self.cut += 1
                    break
                request.clear()
                client.sendall(data)
        _close(client)


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def proxy(dsn: str) -> Iterator[Proxy]:
    host, _, port = dsn.removeprefix("http://").partition(":")
    running = Proxy((host, int(port)), socket.create_server(("127.0.0.1", 0)))
    thread = threading.Thread(target=running.serve, daemon=True)
    thread.start()
    try:
        yield running
    finally:
        running.listener.shutdown(socket.SHUT_RDWR)
        running.listener.close()
        running.refuse()
        thread.join(5)
