"""A connection holds no more than its share of time and memory: with a transport and a clock of our own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, cast

import pytest

from alsobought.web.http import connection as module
from alsobought.web.http.connection import Connection
from alsobought.web.http.limits import ConnectionCounts, Held, Limits
from alsobought.web.http.wsgi import Answer, Request, call

LIMITS = Limits(head=10, transfer=20, rate=1_000, keep_alive=30, body=200_000, held=300_000)
GET = b"GET /pipes/popular HTTP/1.1\r\nHost: shop\r\n\r\n"
CHUNKED = b"POST /events HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\n\r\n"


class Transport:
    """What was written; a client that does not read leaves it full."""

    def __init__(self) -> None:
        self.written, self.events = b"", list[str]()
        self.connection: Connection | None = None
        self.reads = True

    def write(self, data: bytes) -> None:
        self.written += data
        if not self.reads and self.connection:
            self.connection.pause_writing()

    def is_closing(self) -> bool:
        return "close" in self.events or "abort" in self.events

    def get_extra_info(self, _name: str) -> tuple[str, int]:
        return ("203.0.113.5", 7)

    def set_write_buffer_limits(self, high: int) -> None:
        assert high == 0

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.events.append(name)


class Worker:
    """A host that keeps the submitted requests."""

    limits = LIMITS

    def __init__(self) -> None:
        self.held, self.counts = Held(LIMITS.held), ConnectionCounts()
        self.submitted: list[Request] = []
        self.queued: list[Future[Any]] = []
        self.idle, self.has_room, self.at_once = 0, True, b""

    def opened(self, _: Connection) -> bool:
        return True

    def closed(self, _: Connection) -> None: ...

    def went_idle(self, _: Connection) -> None:
        self.idle += 1

    def left_idle(self, _: Connection) -> None:
        self.idle -= 1

    def answer_at_once(self, _received: bytes, client: str) -> bytes | None:
        assert client == "203.0.113.5"
        return self.at_once or None

    def submit(self, _: Connection, request: Request) -> Future[Any] | None:
        if not self.has_room:
            return None
        self.submitted.append(request)
        self.queued.append(Future())
        return self.queued[-1]


class Clock:
    now = 1_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    yield clock


@pytest.fixture
def worker() -> Worker:
    return Worker()


def opened(worker: Worker) -> tuple[Connection, Transport]:
    connection, transport = Connection(worker), Transport()
    transport.connection = connection
    connection.connection_made(cast(asyncio.Transport, transport))
    return connection, transport


def error(transport: Transport) -> tuple[int, str, str]:
    """Status, code and message of the error that was written, after which the connection ends."""
    head, _, body = transport.written.partition(b"\r\n\r\n")
    assert b"\r\nConnection: close" in head
    assert "write_eof" in transport.events or "close" in transport.events
    shown = json.loads(body)["error"]
    return int(head.split()[1]), shown["code"], shown["message"]


OK = Answer(200, "OK", [("Content-Type", "text/plain"), ("Content-Length", "2")], b"ok")


def test_a_request_is_submitted_when_it_is_complete(clock: Clock, worker: Worker) -> None:
    connection, _ = opened(worker)
    connection.data_received(b"POST /events HTTP/1.1\r\nHost: shop\r\nContent-Length: 4\r\n\r\nte")
    assert worker.submitted == []
    connection.data_received(b"a\n")
    assert [(request.method, request.path, request.body) for request in worker.submitted] == [
        ("POST", b"/events", b"tea\n")
    ]


@pytest.mark.parametrize(
    ("sent", "seconds", "status"),
    [(b"", 10, 0), (b"GET /pi", 10, 408), (CHUNKED, 20, 408), (CHUNKED + b"3e8\r\n" + b"x" * 1_000 + b"\r\n", 21, 408)],
    ids=["nothing", "half a head", "no body", "a second more for 1,000 bytes"],
)
def test_each_part_of_a_request_has_its_time(
    clock: Clock, worker: Worker, sent: bytes, seconds: int, status: int
) -> None:
    connection, transport = opened(worker)
    connection.data_received(sent)
    assert connection.deadline == pytest.approx(clock.now + seconds)
    connection.expire()
    if status:
        assert error(transport)[:2] == (408, "bad_request")
        assert worker.counts.ended["head_timeout" if seconds == 10 else "body_timeout"] == 1
    else:
        assert (transport.written, transport.events) == (b"", ["abort"])
        assert sum(worker.counts.ended.values()) == 0


def test_what_trickles_buys_no_more_time(clock: Clock, worker: Worker) -> None:
    connection, _ = opened(worker)
    connection.data_received(b"GET /pipes HTTP/1.1\r\nX-Slow: ")
    until = connection.deadline
    for _ in range(9):
        clock.now += 1
        connection.data_received(b"x")
    assert connection.deadline == until


def test_a_client_that_does_not_read_has_the_time_of_a_slow_line(clock: Clock, worker: Worker) -> None:
    connection, transport = opened(worker)
    transport.reads = False
    connection.data_received(GET)
    connection.answer(Answer(200, "OK", [("Content-Length", "3000")], b"x" * 3_000))
    size = len(transport.written)
    assert connection.deadline == pytest.approx(clock.now + 20 + size / 1_000)
    assert worker.held.bytes == size
    connection.expire()
    assert transport.events == ["abort"]
    assert worker.counts.ended["slow_reader"] == 1
    connection.connection_lost(None)
    assert worker.held.bytes == 0


def test_the_next_request_waits_until_the_answer_is_read(clock: Clock, worker: Worker) -> None:
    async def talk() -> None:
        connection, transport = opened(worker)
        transport.reads = False
        connection.data_received(GET + GET)
        connection.answer(OK)
        await asyncio.sleep(0)
        assert len(worker.submitted) == 1
        connection.resume_writing()
        await asyncio.sleep(0)
        assert len(worker.submitted) == 2

    asyncio.run(talk())


def test_who_sends_far_ahead_is_not_read(clock: Clock, worker: Worker) -> None:
    connection, transport = opened(worker)
    connection.data_received(GET)
    connection.data_received(GET * 2_000)
    assert transport.events == ["pause_reading"]


def test_who_hangs_up_while_waiting_is_not_computed_for(clock: Clock, worker: Worker) -> None:
    for is_lost in (False, True):
        connection, _ = opened(worker)
        connection.data_received(GET)
        if is_lost:
            connection.connection_lost(None)
        else:
            connection.eof_received()
        assert worker.queued[-1].cancelled()


def test_who_stops_within_a_body_gets_an_error_and_the_connection_ends(clock: Clock, worker: Worker) -> None:
    connection, transport = opened(worker)
    connection.data_received(CHUNKED + b"5\r\ntea")
    assert connection.eof_received() is False
    assert error(transport)[:2] == (400, "bad_request")


def test_who_only_stops_sending_gets_the_answer_that_is_being_computed(clock: Clock, worker: Worker) -> None:
    connection, transport = opened(worker)
    connection.data_received(GET)
    assert worker.queued[0].set_running_or_notify_cancel()
    assert connection.eof_received()
    connection.answer(OK)
    assert transport.written.endswith(b"\r\n\r\nok")


@pytest.mark.parametrize(
    ("sent", "refused"),
    [
        (
            b"POST /events HTTP/1.1\r\nHost: shop\r\nContent-Length: 200001\r\n\r\n",
            (413, "too_large", "the body is larger than 200,000 bytes"),
        ),
        (
            CHUNKED + b"30d41\r\n" + b"x" * 200_001 + b"\r\n",
            (413, "too_large", "the body is larger than 200,000 bytes"),
        ),
        (CHUNKED + b"1\r\nx\r\n" * 1_001, (400, "bad_request", "the chunks of the body are too small")),
        (b"GET / HTTP/1.1\r\nHost: shop\r\n" + b"A: b\r\n" * 100 + b"\r\n", (431, "too_large", None)),
        (b"GET / HTTP/1.1\r\nHost: shop\r\nHost: evil\r\n\r\n", (400, "bad_request", None)),
        (b"GET / HTTP/1.1\r\n\r\n", (400, "bad_request", None)),
        (
            b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            (400, "bad_request", None),
        ),
        (b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: +1\r\n\r\n", (400, "bad_request", None)),
    ],
)
def test_too_much_and_invalid_http_are_refused(
    clock: Clock, worker: Worker, sent: bytes, refused: tuple[int, str, str | None]
) -> None:
    connection, transport = opened(worker)
    connection.data_received(sent)
    status, code, message = error(transport)
    assert (status, code, refused[2] and message) == refused
    assert worker.submitted == []
    assert worker.held.bytes == 0


def test_all_bodies_together_have_a_limit(clock: Clock, worker: Worker) -> None:
    first, _ = opened(worker)
    first.data_received(CHUNKED + b"30d40\r\n" + b"x" * 200_000 + b"\r\n")
    second, refused = opened(worker)
    second.data_received(b"POST /events HTTP/1.1\r\nHost: shop\r\nContent-Length: 100001\r\n\r\n")
    assert error(refused)[:2] == (503, "busy")
    first.connection_lost(None)
    third, _ = opened(worker)
    third.data_received(b"POST /events HTTP/1.1\r\nHost: shop\r\nContent-Length: 100001\r\n\r\n" + b"x" * 100_001)
    assert len(worker.submitted) == 1


def test_small_requests_come_beside_large_ones(clock: Clock, worker: Worker) -> None:
    worker.held.bytes = LIMITS.held
    for request in (
        GET,
        b"POST /events HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\ntea",
        CHUNKED + b"3\r\ntea\r\n0\r\n\r\n",
    ):
        connection, transport = opened(worker)
        connection.data_received(request)
        assert transport.written == b""
    assert [request.body for request in worker.submitted] == [b"", b"tea", b"tea"]


def test_a_full_lane_is_busy(clock: Clock, worker: Worker) -> None:
    worker.has_room = False
    connection, transport = opened(worker)
    connection.data_received(GET)
    assert error(transport) == (503, "busy", "too many requests are waiting")
    assert worker.counts.ended["too_many_requests"] == 1
    assert b"\r\nRetry-After: 1\r\n" in transport.written


def test_answers_at_once_keep_the_connection(clock: Clock, worker: Worker) -> None:
    worker.at_once = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    connection, transport = opened(worker)
    for _ in range(3):
        connection.data_received(GET)
    assert (transport.written, connection.deadline) == (worker.at_once * 3, clock.now + 30)


def test_a_failed_application_and_a_bad_header_are_an_internal_error(clock: Clock, worker: Worker) -> None:
    for answer in (None, Answer(200, "OK", [("X-Injected", "a\r\nb: c")], b"")):
        connection, transport = opened(worker)
        connection.data_received(GET)
        connection.answer(answer)
        assert error(transport)[:2] == (500, "internal")
        assert b"b: c" not in transport.written


@pytest.mark.parametrize(("method", "status", "body"), [(b"HEAD", 200, b""), (b"GET", 304, b""), (b"GET", 200, b"ok")])
def test_a_response_without_a_body_has_none(
    clock: Clock, worker: Worker, method: bytes, status: int, body: bytes
) -> None:
    connection, transport = opened(worker)
    connection.data_received(GET.replace(b"GET", method))
    connection.answer(Answer(status, "", OK.headers, b"ok"))
    assert transport.written.partition(b"\r\n\r\n")[2] == body


def test_the_environment_has_no_ambiguous_headers() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        seen.update(environ)
        start_response("204 NO CONTENT", [])
        return []

    headers = [
        (b"host", b"shop"),
        (b"x_forwarded_for", b"1.2.3.4"),
        (b"accept", b"a"),
        (b"accept", b"b"),
        (b"script_name", b"/x"),
    ]
    request = Request(
        "GET", b"http://shop/pipes/caf%C3%A9?q=%20", "1.1", headers, b"", ("198.51.100.7", 9), ("127.0.0.1", 8080)
    )
    assert call(app, request) == Answer(204, "NO CONTENT", [], b"")
    assert {name: value for name, value in seen.items() if not name.startswith("wsgi.")} == {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/pipes/caf\xc3\xa9",
        "QUERY_STRING": "q=%20",
        "RAW_URI": "http://shop/pipes/caf%C3%A9?q=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8080",
        "REMOTE_ADDR": "198.51.100.7",
        "REMOTE_PORT": "9",
        "CONTENT_LENGTH": "0",
        "HTTP_HOST": "shop",
        "HTTP_ACCEPT": "a,b",
        "alsobought.port": 8080,
    }


@pytest.mark.parametrize("target", [b"http://[", b"http://[x]/audit", b"a://]/healthz"])
def test_a_target_with_broken_brackets_is_the_path_of_nothing(target: bytes) -> None:
    request = Request("GET", target, "1.1", [], b"", ("198.51.100.7", 9), ("127.0.0.1", 8080))
    assert request.path == target
