"""gunicorn's threaded worker, made patient: requests are gathered by the loop that watches all connections.

What a reader would guess wrong: gunicorn gives a connection a thread as soon as it is there, and eight callers who say
nothing, or half of it, would hold all eight. Here a thread begins with a whole head, and with the whole body too, unless it
is large or comes in chunks; then the thread waits at most PAUSE_SECONDS for the next part.
"""

from __future__ import annotations

import errno
import logging
import re
import selectors
import socket
import struct
import time
import uuid
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
from gunicorn import util
from gunicorn.http import get_parser
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers import gthread

from alsobought.errors import error_json

MAX_HEAD = 65_536  # bytes of the request line and the headers together
GATHER_SECONDS = 10.0  # for all of it, from the moment the connection was free for it
PAUSE_SECONDS = 5  # between two parts of a body, and for a caller who does not take the answer
LINGER_SECONDS = 0.2  # for a caller to take the last answer of a connection
END = b"\r\n\r\n"
SMALL_BODY = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d{1,5})[ \t]*\r\n")  # below 100,000 bytes
ASKS_FIRST = re.compile(rb"(?i)\r\nexpect:")  # before it sends the body


class Worker(gthread.ThreadWorker):  # type: ignore[misc]
    """A connection is in one of three places: `pending_conns` until a request is there, a thread, `keepalived_conns`."""

    def accept(self, listener: socket.socket) -> None:
        try:
            sock, address = listener.accept()
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ECONNABORTED):
                return
            raise
        pause = struct.pack("ll", PAUSE_SECONDS, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, pause)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, pause)
        conn = gthread.TConn(self.cfg, sock, address, listener.getsockname())
        conn.parser = get_parser(self.cfg, sock, address)
        self.nr_conns += 1
        self._gather(conn)

    def on_pending_socket_readable(self, conn: Any, _: Any) -> None:
        self._hear(conn, self.pending_conns)

    def on_client_socket_readable(self, conn: Any, _: Any) -> None:
        self._hear(conn, self.keepalived_conns)

    def enqueue_req(self, conn: Any) -> None:
        """Of requests sent one right behind the other the next may be there already, or half of it."""
        if _is_whole(_heard(conn)):
            self._begin(conn)
        else:
            self._gather(conn)

    def _gather(self, conn: Any) -> None:
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + GATHER_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _hear(self, conn: Any, place: deque[Any]) -> None:
        """Takes what has come. A connection from which nothing more can come is closed."""
        try:
            more = conn.sock.recv(MAX_HEAD)
        except BlockingIOError:
            return
        except OSError:
            more = b""
        unreader = conn.parser.unreader
        unreader.unread(unreader.take_buffered() + more)
        if more and place is self.pending_conns and not _is_whole(_heard(conn)):
            return  # it keeps its place and its time
        self.poller.unregister(conn.sock)
        place.remove(conn)
        if more:
            self.enqueue_req(conn)
        elif END in _heard(conn):  # the body broke off: a thread will say so
            self._begin(conn)
        else:
            self.nr_conns -= 1
            conn.close()

    def _begin(self, conn: Any) -> None:
        conn.data_ready = True
        super().enqueue_req(conn)

    def murder_pending(self) -> None:
        """Ends what did not come in time; a caller who said something is told."""
        while self.pending_conns and self.pending_conns[0].timeout < time.monotonic():
            conn = self.pending_conns.popleft()
            self.poller.unregister(conn.sock)
            with suppress(OSError):
                if _heard(conn).strip():
                    write_error(conn.sock, 408, "Request Timeout", f"half a request in {GATHER_SECONDS:.0f} seconds")
            self.nr_conns -= 1
            conn.close()

    def _cap_keepalive(self, deadline: float) -> None:
        """A worker that stops waits for nobody who has not said all."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle(self, conn: Any) -> Any:
        if len(_heard(conn)) >= MAX_HEAD and END not in _heard(conn):
            too_large = LimitRequestHeaders(f"more than {MAX_HEAD:,} bytes")
            self.handle_error(None, conn.sock, conn.client, too_large)
            again = False
        else:
            again = super().handle(conn)
        if not again:  # here and not in the loop, where a caller who does not hang up would hold all the others
            util.close_graceful(conn.sock, timeout=LINGER_SECONDS)
        return again

    def finish_request(self, conn: Any, done: Future[Any]) -> None:
        if done.cancelled() or not done.result():
            self.nr_conns -= 1
            conn.close()
        else:
            super().finish_request(conn, done)


def _heard(conn: Any) -> bytes:
    """What has come of the next request and nobody has read."""
    heard: bytes = conn.parser.unreader.buf.getvalue()
    return heard


def _is_whole(heard: bytes) -> bool:
    """Whether a thread can begin with it: a request, or something that will never be one."""
    text = heard.lstrip(b"\r\n")
    head, end, body = text.partition(END)
    if not end:
        return len(heard) >= MAX_HEAD or text.count(b"\n") != text.count(b"\r\n")
    length = SMALL_BODY.search(head + b"\r\n")
    return not length or len(body) >= int(length[1]) or bool(ASKS_FIRST.search(head))


def write_error(sock: socket.socket, status: int, reason: str, message: str) -> None:
    """gunicorn's own errors (what cannot be read as HTTP) in the shape of all others."""
    code = "too_large" if status in (414, 431) else "internal" if status == 500 else "bad_request"
    hint = "POST the parameters as a JSON object" if code == "too_large" else ""
    request_id = uuid.uuid4().hex[:16]
    said = message or ("something went wrong on our side" if code == "internal" else reason.lower())
    body = msgspec.json.encode(error_json(code, said, hint, (), request_id))
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"X-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("latin1") + body)


def is_news(record: logging.LogRecord) -> bool:
    """Not that a caller stopped sending or stopped reading: that is no fault of ours, and no traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], (BlockingIOError, TimeoutError)))


util.write_error = write_error
gthread.DEFAULT_WORKER_DATA_TIMEOUT = (
    0.5  # that long a body nobody asked for is read, so that the connection can be kept
)
