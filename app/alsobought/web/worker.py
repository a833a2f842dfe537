"""A gunicorn worker that slow clients cannot block.

The event loop buffers a request before a thread handles it. gunicorn's threaded worker gives a
connection a thread as soon as it is accepted, so eight clients that send nothing, or half a
request, would occupy all eight threads. Here a thread starts with a complete head, and with the
complete body too unless it is large or chunked; then it waits at most PAUSE_SECONDS for the next
part.
"""

from __future__ import annotations

import errno
import logging
import re
import selectors
import socket
import struct
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable
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
from alsobought.serving.lane import Lane
from alsobought.web.lanes import Lanes

log = logging.getLogger(__name__)

MAX_HEAD = 65_536  # bytes of the request line and the headers together
GATHER_SECONDS = 10.0  # for a complete request, from the end of the previous one
PAUSE_SECONDS = 5  # between two parts of a body, and for a client that does not read the response
QUEUED_SECONDS = 1.0  # a request that waited longer is handled only if its caller is still connected
SWITCH_SECONDS = 0.002  # the event loop waits so long for each busy thread; a tenth less throughput at a quarter of it
LINGER_SECONDS = 0.2  # for a client to read the last response of a connection
END_OF_HEAD = b"\r\n\r\n"
SMALL_BODY = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d{1,5})[ \t]*\r\n")  # below 100,000 bytes
EXPECT_HEADER = re.compile(rb"(?i)\r\nexpect:")  # the client waits for 100 Continue before it sends the body


RETRY_AFTER = "Retry-After: 1\r\n"
TOO_MANY = ("too many requests are waiting", "Send the same request again in a second")


class Worker(gthread.ThreadWorker):  # type: ignore[misc]
    """A connection is in `pending_conns`, in a thread, or in `keepalived_conns`."""

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
        self._receive(conn, self.pending_conns)

    def on_client_socket_readable(self, conn: Any, _: Any) -> None:
        self._receive(conn, self.keepalived_conns)

    def enqueue_req(self, conn: Any) -> None:
        """With pipelining, the next request may be in the buffer already, completely or in part."""
        if _is_complete(_buffered(conn)):
            self._dispatch(conn)
        else:
            self._gather(conn)

    def _gather(self, conn: Any) -> None:
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + GATHER_SECONDS
        self.pending_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def _receive(self, conn: Any, queue: deque[Any]) -> None:
        """Buffer the received bytes. Closes a connection whose client has closed it."""
        try:
            received = conn.sock.recv(MAX_HEAD)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if received and self.alive and not _buffered(conn) and self._answer_at_once(conn, queue, received):
            return
        unreader = conn.parser.unreader
        unreader.unread(unreader.take_buffered() + received)
        if received and queue is self.pending_conns and not _is_complete(_buffered(conn)):
            return  # it stays in the queue, with its timeout
        self.poller.unregister(conn.sock)
        queue.remove(conn)
        if received:
            self.enqueue_req(conn)
        elif END_OF_HEAD in _buffered(conn):  # the body is incomplete: a thread responds with an error
            self._dispatch(conn)
        else:
            self._drop(conn)

    def _answer_at_once(self, conn: Any, queue: deque[Any], received: bytes) -> bool:
        """Answer a request whose answer is cached, in the event loop. False if a thread has to handle it."""
        try:
            response = self.wsgi.extensions["fast_lane"].respond(received, _peer(conn))
        except Exception:  # no request may end the event loop
            log.exception("the fast lane failed")
            response = None
        if response is None:
            return False
        queue.remove(conn)
        try:
            sent = conn.sock.send(response)
        except BlockingIOError:
            sent = 0
        except OSError:  # the client is gone
            self.poller.unregister(conn.sock)
            self._drop(conn)
            return True
        if sent < len(response):
            self.poller.unregister(conn.sock)
            if not self._started(conn, self.tpool.light, _send_rest, conn.sock, response[sent:]):
                self._drop(conn)
            return True
        if queue is self.pending_conns:
            self.poller.modify(conn.sock, selectors.EVENT_READ, partial(self.on_client_socket_readable, conn))
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        return True

    def init_process(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        super().init_process()

    def get_thread_pool(self) -> Lanes:
        return Lanes(self.cfg.threads)

    def _dispatch(self, conn: Any) -> None:
        """Give a request to a thread of its lane; refuse it if too many wait there."""
        conn.data_ready = True
        is_heavy = self.wsgi.extensions["service"].answers.queries.costs.is_heavy
        for lane in self.tpool.of(_buffered(conn), is_heavy):
            if self._started(conn, lane, self._handle_unless_gone, conn, time.monotonic()):
                return
        with suppress(OSError):
            write_error(conn.sock, 503, "Service Unavailable", *TOO_MANY, code="busy")
        self._drop(conn)

    def _started(self, conn: Any, lane: Lane, handle: Callable[..., Any], *arguments: Any) -> bool:
        """Run this in a thread of a lane, and then finish the request. False if the lane is full."""
        done = lane.submit(handle, *arguments)
        if done:
            done.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))
        return done is not None

    def _drop(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def _handle_unless_gone(self, conn: Any, since: float) -> Any:
        """Handle a request, but not one whose caller has gone while it waited."""
        if time.monotonic() - since > QUEUED_SECONDS and _is_closed(conn.sock):
            return False
        return self.handle(conn)

    def murder_pending(self) -> None:
        """Close connections whose request is late; a client that sent a part of it gets a 408."""
        while self.pending_conns and self.pending_conns[0].timeout < time.monotonic():
            conn = self.pending_conns.popleft()
            self.poller.unregister(conn.sock)
            with suppress(OSError):
                if _buffered(conn).strip():
                    write_error(
                        conn.sock,
                        408,
                        "Request Timeout",
                        f"the request was incomplete after {GATHER_SECONDS:.0f} seconds",
                    )
            self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """A worker that stops does not wait for incomplete requests."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle(self, conn: Any) -> Any:
        if len(_buffered(conn)) >= MAX_HEAD and END_OF_HEAD not in _buffered(conn):
            too_large = LimitRequestHeaders(f"more than {MAX_HEAD:,} bytes")
            self.handle_error(None, conn.sock, conn.client, too_large)
            keep_alive = False
        else:
            keep_alive = super().handle(conn)
        if not keep_alive:  # in the thread: in the loop, a client that does not close would block all others
            util.close_graceful(conn.sock, timeout=LINGER_SECONDS)
        return keep_alive

    def finish_request(self, conn: Any, done: Future[Any]) -> None:
        if done.cancelled() or not done.result():
            self._drop(conn)
        else:
            super().finish_request(conn, done)


def _peer(conn: Any) -> str:
    """The address of the client; empty for a Unix socket."""
    return conn.client[0] if isinstance(conn.client, tuple) else ""


def _is_closed(sock: socket.socket) -> bool:
    """True if the other side has closed the connection, or its sending half."""
    try:
        return not sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _send_rest(sock: socket.socket, rest: bytes) -> bool:
    """The rest of a response to a client that reads slowly; at most PAUSE_SECONDS between two parts."""
    sock.setblocking(True)
    with suppress(OSError):
        sock.sendall(rest)
        return True
    return False


def _buffered(conn: Any) -> bytes:
    """The received bytes that no parser has consumed."""
    data: bytes = conn.parser.unreader.buf.getvalue()
    return data


def _is_complete(buffered: bytes) -> bool:
    """True if a thread can start: for a complete request, or for bytes that cannot become one."""
    text = buffered.lstrip(b"\r\n")
    head, end, body = text.partition(END_OF_HEAD)
    if not end:
        return len(buffered) >= MAX_HEAD or text.count(b"\n") != text.count(b"\r\n")
    length = SMALL_BODY.search(head + b"\r\n")
    return not length or len(body) >= int(length[1]) or bool(EXPECT_HEADER.search(head))


def write_error(sock: socket.socket, status: int, reason: str, message: str, hint: str = "", *, code: str = "") -> None:
    """Write gunicorn's own errors, for example for invalid HTTP, in the JSON shape of all errors."""
    code = code or _code(status)
    hint = hint or ("POST the parameters as a JSON object" if code == "too_large" else "")
    request_id = uuid.uuid4().hex[:16]
    text = message or ("internal error" if code == "internal" else reason.lower())
    body = msgspec.json.encode(error_json(code, text, hint, (), request_id))
    head = (
        f"HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        f"{RETRY_AFTER if status == 503 else ''}"
        f"X-Request-Id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, head.encode("latin1") + body)


def _code(status: int) -> str:
    return "too_large" if status in (414, 431) else "internal" if status == 500 else "bad_request"


def is_not_client_timeout(record: logging.LogRecord) -> bool:
    """False for the traceback of a client that stopped sending or reading."""
    return not (record.exc_info and isinstance(record.exc_info[1], (BlockingIOError, TimeoutError)))


util.write_error = write_error
# For so long an unread body is drained, so that the connection can be kept alive.
gthread.DEFAULT_WORKER_DATA_TIMEOUT = 0.5
