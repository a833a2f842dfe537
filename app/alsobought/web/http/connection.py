"""One connection of a client, in the event loop: receive a complete request, have it answered, send the answer.

No thread ever waits for a client. A request goes to a thread when all of it is here, and its answer is
complete when it comes back. Each phase has a deadline from its start, whatever trickles meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from concurrent.futures import Future
from email.utils import formatdate
from enum import Enum
from http import HTTPStatus
from typing import Any, Protocol, cast

import h11
import msgspec

from alsobought.errors import error_json
from alsobought.web.http.limits import (
    FREE_CHUNKS,
    MAX_BEHIND,
    MAX_HEAD,
    MAX_HEADER,
    MAX_HEADERS,
    MIN_CHUNK,
    ConnectionCounts,
    Held,
    Limits,
)
from alsobought.web.http.wsgi import Answer, Request
from alsobought.web.security_headers import OF_DATA

log = logging.getLogger(__name__)

SERVER = "alsobought"
INCOMPLETE = "the body is incomplete or its chunks are invalid"
SEND_AGAIN = "Send all of it again"
AGAIN = "Send the same request again in a second"


class Phase(Enum):
    IDLE = "between two requests"
    HEAD = "a part of a head has arrived"
    BODY = "a part of a body has arrived"
    ANSWERED_BY_OTHERS = "the request waits for a thread or runs in one"
    SENDING = "a part of the answer is still here"
    ENDING = "the last answer is sent; the client closes, or we do"


class Host(Protocol):
    """What a connection needs of the worker it belongs to."""

    limits: Limits
    held: Held
    counts: ConnectionCounts

    def opened(self, connection: Connection) -> bool:
        """False if there is no room for one more."""

    def closed(self, connection: Connection) -> None: ...

    def went_idle(self, connection: Connection) -> None: ...

    def left_idle(self, connection: Connection) -> None: ...

    def answer_at_once(self, received: bytes, client: str) -> bytes | None:
        """The response to a request of exactly these bytes from this address, if it is at hand."""

    def submit(self, connection: Connection, request: Request) -> Future[Any] | None:
        """Have a request answered: `connection.answer` follows. None if too many wait already."""


class HttpError(Exception):
    """The request is answered with an error, and the connection ends; it is counted under its reason, by default the code."""

    def __init__(self, status: int, code: str, message: str, hint: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.hint = status, code, message, hint
        self.reason = reason or code


FAILED = HttpError(500, "internal", "internal error", "The server log has the details")


class Connection(asyncio.Protocol):
    """`deadline` is on the clock of `time.monotonic`; the worker calls `expire` after it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._phase = Phase.IDLE
        self._head: h11.Request | None = None
        self._body: list[bytes] = []
        self._size = self._charged = 0
        self._queued: Future[Any] | None = None
        self._is_full = False  # the transport still has bytes to send
        self._client = self._server = ("", 0)
        self.deadline = time.monotonic() + host.limits.head

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=0)
        self._client = (transport.get_extra_info("peername") or ("", 0))[:2]
        self._server = (transport.get_extra_info("sockname") or ("", 0))[:2]
        if self._host.opened(self):
            self._host.went_idle(self)
        else:
            self._refuse(HttpError(503, "busy", "too many connections are open", AGAIN, "too_many_connections"))

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.ENDING:  # what a client sends before it reads that it was refused
            self._size += len(data)
            if self._size > self._host.limits.body:
                self.transport.abort()
            return
        if self._phase is Phase.IDLE:
            response = self._host.answer_at_once(data, self._client[0])
            if response is not None:
                self.transport.write(response)
                self._sent(len(response))
                return
            data = data.lstrip(b"\r\n")  # old clients send some after a body
            if not data:
                return
            self._enter(Phase.HEAD, self._host.limits.head)
        self._http.receive_data(data)
        if self._phase in (Phase.HEAD, Phase.BODY):
            self._advance()
        elif len(self._http.trailing_data[0]) > MAX_BEHIND:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The client has closed, or its sending half: who began a body gets an answer, as does who waits for a running request."""
        if self._phase is Phase.BODY:
            self._refuse(HttpError(400, "bad_request", INCOMPLETE, SEND_AGAIN))
        elif self._phase is Phase.ANSWERED_BY_OTHERS and self._queued and self._queued.cancel():
            return False
        return self._phase in (Phase.ANSWERED_BY_OTHERS, Phase.SENDING)

    def connection_lost(self, _error: Exception | None) -> None:
        if self._queued:
            self._queued.cancel()
        self._uncharge()
        self._phase = Phase.ENDING
        self._host.closed(self)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._phase is Phase.SENDING:
            self._uncharge()
            self._next()

    # What the worker calls

    @property
    def is_busy(self) -> bool:
        """A request of it is being answered."""
        return self._phase in (Phase.ANSWERED_BY_OTHERS, Phase.SENDING)

    def expire(self) -> None:
        """End a connection whose deadline has passed; a client that sent a part of a request is told."""
        if self._phase in (Phase.HEAD, Phase.BODY):
            part = "head" if self._phase is Phase.HEAD else "body"
            text = f"the {part} of the request took too long"
            self._refuse(HttpError(408, "bad_request", text, "Send it again, faster", f"{part}_timeout"))
        elif self._phase is not Phase.ANSWERED_BY_OTHERS:
            if self._phase is Phase.SENDING:
                self._host.counts.ended["slow_reader"] += 1
            self.transport.abort()

    def answer(self, answer: Answer | None) -> None:
        """Send the answer to the current request; None if the application failed."""
        self._queued = None
        self._uncharge()
        if self._phase is not Phase.ANSWERED_BY_OTHERS:
            return
        if answer:
            self._send(answer)
        else:
            self._refuse(FAILED)

    def end(self) -> None:
        """Close it now: it is idle, or the service stops."""
        self._enter(Phase.ENDING, self._host.limits.linger)
        self.transport.close()

    # Receiving

    def _advance(self) -> None:
        """Take what has arrived of a request."""
        try:
            while self._phase in (Phase.HEAD, Phase.BODY):
                event = self._http.next_event()
                if isinstance(event, h11.Request):
                    self._begin(event)
                elif isinstance(event, h11.Data):
                    self._add(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    self._submit()
                else:
                    self._require_first_line()
                    return
        except HttpError as error:
            self._refuse(error)
        except h11.RemoteProtocolError as error:
            self._refuse(self._http_error(error))

    def _begin(self, head: h11.Request) -> None:
        if head.http_version not in (b"1.0", b"1.1"):
            raise HttpError(400, "bad_request", "the version of HTTP is not supported", "Send HTTP/1.1")
        if len(head.headers) > MAX_HEADERS or any(len(value) > MAX_HEADER for _, value in head.headers):
            limit = f"more than {MAX_HEADERS} header fields, or one of more than {MAX_HEADER:,} bytes"
            raise HttpError(431, "too_large", limit, "POST the parameters as a JSON object")
        headers = dict(head.headers)
        if b"transfer-encoding" in headers and (b"content-length" in headers or head.http_version == b"1.0"):
            reason = "Transfer-Encoding with Content-Length, or in HTTP/1.0"  # a proxy may see two requests here (RFC 9112, 6.1)
            raise HttpError(400, "bad_request", f"{reason}: the end of the body is not certain", "Send one of them")
        self._head, self._body, self._size = head, [], 0
        announced = int(headers.get(b"content-length", 0))
        self._require_room(announced, announced)
        self._enter(Phase.BODY, self._host.limits.transfer)
        if self._http.they_are_waiting_for_100_continue:
            self._write(h11.InformationalResponse(status_code=100, headers=[]))

    def _add(self, data: bytes) -> None:
        self._body.append(data)
        self._size += len(data)
        if len(self._body) > FREE_CHUNKS and self._size < MIN_CHUNK * len(self._body):
            raise HttpError(400, "bad_request", "the chunks of the body are too small", "Send it in fewer chunks")
        self._require_room(len(data), self._size)
        self.deadline += len(data) / self._host.limits.rate
        self._charge(len(data))

    def _require_room(self, more: int, size: int) -> None:
        """Raises HttpError for more bytes of a body than it, or all together, may have; `size` is that with them."""
        if size > self._host.limits.body:
            raise HttpError(
                413, "too_large", f"the body is larger than {self._host.limits.body:,} bytes", "Send it in parts"
            )
        if not self._host.held.has_room(more, size):
            raise HttpError(503, "busy", "too many large requests are on their way", AGAIN, "too_many_bytes")

    def _submit(self) -> None:
        head = cast(h11.Request, self._head)
        request = Request(
            head.method.decode("ascii"),
            head.target,
            head.http_version.decode("ascii"),
            list(head.headers),
            b"".join(self._body),
            self._client,
            self._server,
        )
        self._body = []
        self._phase, self.deadline = Phase.ANSWERED_BY_OTHERS, float("inf")
        self._queued = self._host.submit(self, request)
        if self._queued is None and self._phase is Phase.ANSWERED_BY_OTHERS:
            raise HttpError(503, "busy", "too many requests are waiting", AGAIN, "too_many_requests")

    def _require_first_line(self) -> None:
        """Raises HttpError for bytes that are no HTTP, so that their sender need not wait for the deadline."""
        received = self._http.trailing_data[0]
        line, end, _ = received.partition(b"\n")
        if self._phase is Phase.HEAD and end and b" HTTP/" not in line:
            raise HttpError(
                400, "bad_request", "the first line is not that of an HTTP request", "Send GET /path HTTP/1.1"
            )

    def _http_error(self, error: h11.RemoteProtocolError) -> HttpError:
        if error.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            text = f"the head of the request has more than {MAX_HEAD:,} bytes"
            return HttpError(431, "too_large", text, "POST the parameters as a JSON object")
        if self._phase is Phase.BODY:
            return HttpError(400, "bad_request", INCOMPLETE, SEND_AGAIN)
        return HttpError(400, "bad_request", f"invalid HTTP: {error}"[:200], "Send a request of HTTP/1.1")

    # Sending

    def _send(self, answer: Answer) -> None:
        """Send a response, and then read the next request, or close the connection."""
        has_body = cast(h11.Request, self._head).method != b"HEAD" and answer.status not in (204, 304)
        headers = [("Server", SERVER), ("Date", http_date()), *(h for h in answer.headers if h[0].lower() != "date")]
        try:
            events = (
                h11.Response(status_code=answer.status, reason=answer.reason, headers=headers),
                *([h11.Data(data=answer.body)] if has_body else []),
                h11.EndOfMessage(),
            )
            response = b"".join(self._http.send(event) or b"" for event in events)
        except h11.LocalProtocolError:  # a header with a line break, or another length than announced
            log.exception("the response is no valid HTTP")
            self._refuse(FAILED)
            return
        self._phase = Phase.SENDING
        self.transport.write(response)
        self._sent(len(response))

    def _sent(self, size: int) -> None:
        """The transport has taken a response, and sends what the client does not read at once."""
        if self._is_full:
            self._charge(size)
            self._enter(Phase.SENDING, self._host.limits.transfer_seconds(size))
            if self._host.held.is_full:
                self._host.counts.ended["too_many_bytes"] += 1
                self.transport.abort()
        elif self._phase is Phase.IDLE:  # answered at once
            self.deadline = time.monotonic() + self._host.limits.keep_alive
            self._host.went_idle(self)
        else:
            self._next()

    def _next(self) -> None:
        """The response is with the client."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        if self._http.our_state is not h11.IDLE or self._http.their_state is not h11.IDLE:
            self._linger()
        elif self._http.trailing_data[0]:
            self._enter(Phase.HEAD, self._host.limits.head)
            asyncio.get_running_loop().call_soon(self._advance)
            self.transport.resume_reading()
        else:
            self._enter(Phase.IDLE, self._host.limits.keep_alive)
            self._host.went_idle(self)

    def _refuse(self, error: HttpError) -> None:
        """Send an error in the shape of all errors, and end the connection."""
        self._host.counts.ended[error.reason] += 1
        self._uncharge()
        self._size = 0
        request_id = uuid.uuid4().hex[:16]
        log.debug("request %s of %s ended: %s", request_id, self._client[0], error)
        body = msgspec.json.encode(error_json(error.code, error.message, error.hint, (), request_id))
        headers = [
            ("Content-Type", "application/json"),
            *OF_DATA.items(),
            ("X-Request-Id", request_id),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers.append(("Retry-After", "1"))
        head = "".join(f"{name}: {value}\r\n" for name, value in [("Server", SERVER), ("Date", http_date()), *headers])
        status = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
        self.transport.write(f"{status}{head}\r\n".encode("latin1") + body)
        self._linger()

    def _linger(self) -> None:
        """Close our half: a client that is still sending reads the answer only if we do not close both."""
        is_sending = self._http.their_state in (h11.IDLE, h11.SEND_BODY, h11.ERROR)
        self._enter(Phase.ENDING, self._host.limits.transfer if is_sending else self._host.limits.linger)
        if self.transport.is_closing():
            return
        if self._is_full or is_sending:
            self.transport.write_eof()
            self.transport.resume_reading()
        else:
            self.transport.close()

    def _write(self, event: h11.InformationalResponse) -> None:
        self.transport.write(self._http.send(event) or b"")

    # Deadlines and shares

    def _enter(self, phase: Phase, seconds: float) -> None:
        if self._phase is Phase.IDLE:
            self._host.left_idle(self)
        self._phase, self.deadline = phase, time.monotonic() + seconds

    def _charge(self, size: int) -> None:
        self._charged += size
        self._host.held.bytes += size

    def _uncharge(self) -> None:
        self._host.held.bytes -= self._charged
        self._charged = 0


class _Date:
    """`Date`, formatted once a second."""

    at, text = 0, ""


def http_date() -> str:
    now = int(time.time())
    if now != _Date.at:
        _Date.at, _Date.text = now, formatdate(now, usegmt=True)
    return _Date.text
