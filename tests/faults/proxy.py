"""A TCP proxy in front of a server, for what a network does: it refuses, it delays, it cuts a reply."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

RESET = struct.pack("ii", 1, 0)  # closed at once, so that the other side sees an error and no end


@dataclass
class Proxy:
    """`cuts` replies to requests that hold all of `marks` are thrown away, and their connection with them."""

    target: tuple[str, int]
    listener: socket.socket
    refuses: bool = False
    delay: float = 0.0
    cuts: int = 0
    marks: tuple[bytes, ...] = ()
    cut: int = 0
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def refuse(self) -> None:
        """From now on nobody gets through, and who was through is cut off."""
        self.refuses = True
        for one in list(self._open):
            _close(one)

    def serve(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.refuses:
                _close(client)
                continue
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self.target)
        except OSError:
            _close(client)
            return
        self._open += [client, server]
        asked = bytearray()
        back = threading.Thread(target=self._answers, args=(client, server, asked), daemon=True)
        back.start()
        with suppress(OSError):
            while data := client.recv(65_536):
                asked += data
                time.sleep(self.delay)
                server.sendall(data)
        _close(server)
        back.join()
        for one in (client, server):
            _close(one)
            self._open.remove(one)

    def _answers(self, client: socket.socket, server: socket.socket, asked: bytearray) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                if self.cut < self.cuts and self.marks and all(mark in asked for mark in self.marks):
                    self.cut += 1
                    break
                asked.clear()
                client.sendall(data)
        _close(client)


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        one.shutdown(socket.SHUT_RDWR)
    one.close()


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
