"""Clients on raw sockets: silent ones, half requests, incomplete bodies, and invalid HTTP."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.process import ServedProcess, running, serving
from tests.support.web import VIEW

THREADS = 3
LIMIT = 100_000
EVENT = json.dumps(VIEW).encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedProcess]:
    """A service with three threads that takes bodies of up to 100,000 bytes.

    Its log is empty at the end.
    """
    settings = {
        "ALSOBOUGHT_THREADS": str(THREADS),
        "ALSOBOUGHT_MAX_BODY_BYTES": str(LIMIT),
        "ALSOBOUGHT_ALLOWED_HOSTS": "shop",
    }
    with serving(running(tmp_path_factory.mktemp("shop") / "data", **settings).with_short_timeouts()) as service:
        yield service
        service.stop()
        assert service.process.stderr
        log = service.process.stderr.read()
    assert "Traceback" not in log, log


def connected(service: ServedProcess) -> socket.socket:
    address = urlsplit(service.url)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), timeout=20)


def response_to(service: ServedProcess, *parts: bytes, hang_up: bool = False) -> tuple[int, str, Any]:
    """Status, content type and body of the answer to these bytes, sent one part after the other."""
    with closing(connected(service)) as sock:
        for part in parts:
            sock.sendall(part)
            time.sleep(0.02)
        if hang_up:
            sock.shutdown(socket.SHUT_WR)
        return answer(sock)


def answer(sock: socket.socket) -> tuple[int, str, Any]:
    got = b""
    while not (head := re.match(rb"(?s)HTTP/1.1 (\d+) .*?\r\n\r\n", got)) or len(got) < head.end() + length(head[0]):
        more = sock.recv(65_536)
        assert more, f"the connection ended after {got!r}"
        got += more
    kind = re.search(r"(?i)content-type: (\S+)", head[0].decode())
    assert kind
    return int(head[1]), kind[1], json.loads(got[head.end() :][: length(head[0])])


def length(head: bytes) -> int:
    header = re.search(rb"(?i)content-length: (\d+)", head)
    assert header
    return int(header[1])


def post(*headers: str, path: str = "/events") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: shop", *headers, "", ""]).encode()


CHUNKED = post("Transfer-Encoding: chunked")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def viewed(service: ServedProcess, user: str) -> list[str]:
    """What a user viewed, once everything is stored that was accepted before."""
    assert service.ask("/events?wait=true", VIEW | {"user_id": "last"})[0] == 200
    return [row["item_id"] for row in service.ask(f"/pipes/recently_viewed?user_id={user}")[1]["data"]]


# Bodies


def test_a_chunked_body_is_read_completely(service: ServedProcess) -> None:
    body = json.dumps(VIEW | {"user_id": "chunked"}).encode()
    status, _, taken = response_to(service, CHUNKED, chunk(body[:20]), chunk(body[20:]), b"0\r\n\r\n")
    assert (status, taken["accepted"]) == (202, 1)
    assert viewed(service, "chunked") == ["tea"]


def test_a_chunked_body_of_the_largest_size_is_taken(service: ServedProcess) -> None:
    body = json.dumps(VIEW | {"user_id": "largest"}).encode().ljust(LIMIT, b"\n")
    status, _, taken = response_to(service, CHUNKED, chunk(body[:60_000]), chunk(body[60_000:]), b"0\r\n\r\n")
    assert (status, taken["accepted"]) == (202, 1)


@pytest.mark.parametrize("over", [1, 50_000])
def test_a_chunked_body_over_the_limit_is_413_and_nothing_of_it_is_stored(service: ServedProcess, over: int) -> None:
    line = json.dumps(VIEW | {"user_id": f"large{over}"}).encode() + b"\n"
    body = (line * LIMIT)[: LIMIT + over]
    parts = [chunk(body[at : at + 30_000]) for at in range(0, len(body), 30_000)]
    status, kind, refusal = response_to(service, CHUNKED, *parts, b"0\r\n\r\n")
    assert (status, kind, refusal["error"]["code"]) == (413, "application/json", "too_large")
    assert viewed(service, f"large{over}") == []


@pytest.mark.parametrize(
    "parts",
    [
        [post(f"Content-Length: {2 * len(EVENT) + 1}"), EVENT + b"\n" + EVENT[:-9]],
        [post("Content-Length: 100000"), EVENT + b"\n"],
        [CHUNKED, chunk(EVENT + b"\n"), b"ff\r\n" + EVENT[:9]],
        [CHUNKED, chunk(EVENT + b"\n")],
        [CHUNKED, chunk(EVENT + b"\n"), b"no number\r\n" + EVENT],
        [CHUNKED, chunk(EVENT + b"\n")[:-2] + b"xx"],
    ],
    ids=["length", "length of a large one", "within a chunk", "between chunks", "chunk size", "chunk end"],
)
def test_an_incomplete_body_is_400_and_nothing_of_it_is_stored(service: ServedProcess, parts: list[bytes]) -> None:
    before = service.ask("/readyz")[1]["as_of"]
    status, kind, refusal = response_to(service, *parts, hang_up=True)
    assert (status, kind, refusal["error"]["code"]) == (400, "application/json", "bad_request")
    assert refusal["error"]["message"].startswith("the body is incomplete")
    assert service.ask("/readyz")[1]["as_of"] == before


def test_clients_that_pause_too_long_get_an_error(service: ServedProcess) -> None:
    pausing = [
        post("Content-Length: 99999", "Expect: 100-continue"),
        post("Transfer-Encoding: chunked", path="/pipes/trending") + chunk(EVENT),
        b"GET /hea",
        post("Content-Length: 500") + EVENT,
    ]
    with ExitStack() as stack:
        begun = [(stack.enter_context(closing(connected(service))), part) for part in pausing]
        for sock, part in begun:
            sock.sendall(part)
        for sock, part in begun:
            if b"Expect" in part:
                assert sock.recv(1_000).startswith(b"HTTP/1.1 100")
            got, kind, refusal = answer(sock)
            assert (got, kind, refusal["error"]["code"]) == (408, "application/json", "bad_request")


# Connections


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /healthz HTTP/1.1\r\nHost: sh", b"\r\n\r\n", post("Content-Length: 500") + EVENT],
    ids=["silence", "half a head", "empty lines", "half a body"],  # a post with a large body waits in a write slot
)
def test_stalled_clients_do_not_block_others(service: ServedProcess, begun: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(10 * THREADS):
            sock = stack.enter_context(closing(connected(service)))
            sock.sendall(begun)
        time.sleep(0.3)
        assert max(seconds(service) for _ in range(3)) < 1.5


def test_clients_that_do_not_close_do_not_block_others(service: ServedProcess) -> None:
    with ExitStack() as stack:
        for _ in range(THREADS):
            sock = stack.enter_context(closing(connected(service)))
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
            assert answer(sock)[0] == 200
        assert seconds(service) < 1.5


def test_clients_that_do_not_read_do_not_block_others_for_ever(service: ServedProcess) -> None:
    assert service.ask("/openapi.json")[0] == 200  # all pipes are read once
    with ExitStack() as stack:
        for _ in range(THREADS):
            sock = stack.enter_context(closing(connected(service)))
            sock.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: shop\r\n\r\n" * 1_000)  # more than any buffer holds
        time.sleep(2)  # until the buffers are full
        for _ in range(4):
            taken = seconds(service)
            time.sleep(0.5)
    assert taken < 1.5


def seconds(service: ServedProcess) -> float:
    """For one answer."""
    started = time.monotonic()
    assert service.ask("/healthz")[0] == 200
    return time.monotonic() - started


def test_a_head_may_arrive_in_pieces(service: ServedProcess) -> None:
    assert response_to(service, b"GET /hea", b"lthz HTTP/1.1\r\nHo", b"st: shop\r\n\r", b"\n")[0] == 200


def test_half_a_head_on_a_kept_alive_connection_is_completed(service: ServedProcess) -> None:
    with closing(connected(service)) as sock:
        for parts in (
            [b"GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\nGET /he"],
            [b"althz HTTP/1.1\r\nHost: shop\r\n\r\n"],
        ):
            for part in parts:
                sock.sendall(part)
            assert answer(sock)[0] == 200
        sock.sendall(b"GET /hea")
        time.sleep(0.1)
        sock.sendall(b"lthz HTTP/1.1\r\nHost: shop\r\n\r\n")
        assert answer(sock)[0] == 200


def test_pipelined_requests_are_all_answered(service: ServedProcess) -> None:
    body = json.dumps(VIEW | {"user_id": "behind"}).encode()
    request = post(f"Content-Length: {len(body)}") + body
    with closing(connected(service)) as sock:
        sock.sendall(request)
        assert answer(sock)[0] == 202
        sock.sendall(request + request)
        got = b""
        while got.count(b"HTTP/1.1 202") < 2:
            more = sock.recv(65_536)
            assert more, f"the connection ended after {got!r}"
            got += more


# Invalid HTTP


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"hello\r\n\r\n", 400, "bad_request"),
        (b"hello\n", 400, "bad_request"),
        (b"GET / HTTP/9.9\r\nHost: shop\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost : shop\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: shop\r\nX: " + b"x" * 9_000 + b"\r\n\r\n", 431, "too_large"),
        (b"GET /?" + b"x" * 70_000, 431, "too_large"),
        (post("Transfer-Encoding: gzip"), 400, "bad_request"),
        (post("Content-Length: many"), 400, "bad_request"),
        (post("Content-Length: 5", "Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, "bad_request"),
        (post("Transfer-Encoding: chunked").replace(b"/1.1", b"/1.0") + b"0\r\n\r\n", 400, "bad_request"),
    ],
)
def test_invalid_http_gets_the_common_error_shape(
    service: ServedProcess, request_bytes: bytes, status: int, code: str
) -> None:
    got, kind, body = response_to(service, request_bytes)
    assert (got, kind, body["error"]["code"]) == (status, "application/json", code)
    assert list(body) == ["error", "request_id"]
    assert list(body["error"]) == ["code", "message", "hint", "details"]
    assert body["error"]["message"]


def test_a_long_url_is_answered(service: ServedProcess) -> None:
    ids = "&".join(f"item_id=item-number-{number:06}" for number in range(1_000))
    status, body = service.ask(f"/pipes/also_bought?{ids}")
    assert (status, body["pipe"]["name"]) == (200, "also_bought")


def test_a_service_stops_despite_a_silent_connection(tmp_path: Path) -> None:
    with serving(running(tmp_path / "data")) as service, closing(connected(service)):
        assert service.ask("/healthz")[0] == 200
        assert service.stop() < 6
        assert service.process.returncode == 0


def test_an_ipv6_address_is_served_and_printed(tmp_path: Path) -> None:
    with serving(running(tmp_path / "data", ALSOBOUGHT_HOST="::1")) as service:
        assert service.url.startswith("http://[::1]:")
        assert service.ask("/healthz")[0] == 200


# What a client may not decide


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script-Name", "X-Forwarded-Prefix", "X_Forwarded_Prefix"])
def test_a_client_does_not_choose_the_address_of_the_service(service: ServedProcess, name: str) -> None:
    with closing(connected(service)) as sock:
        sock.sendall(f"GET /docs HTTP/1.1\r\nHost: shop\r\n{name}: /evil\r\nConnection: close\r\n\r\n".encode())
        page = b"".join(iter(lambda: sock.recv(65_536), b""))
    assert page.startswith(b"HTTP/1.1 200 ")
    assert b"curl 'http://shop/pipes/" in page.replace(b"&#39;", b"'")
    assert b"evil" not in page


def test_another_name_gets_no_answer_from_the_fast_lane(service: ServedProcess) -> None:
    asking = b"GET /pipes/popular HTTP/1.1\r\nHost: %s\r\n\r\n"
    for _ in range(3):  # from the second one on the event loop itself answers
        assert response_to(service, asking % b"shop")[0] == 200
    status, _, refusal = response_to(service, asking % b"evil.example")
    assert (status, refusal["error"]["code"]) == (421, "wrong_host")
