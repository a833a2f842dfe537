"""What slow, many, greedy and impatient callers do to others: nothing that these would notice."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.process import ServedProcess, running, serving
from tests.support.project import project_folder
from tests.support.web import VIEW

SLOW = """-- Slow.
--
-- :seed UInt32 = 0  makes each request another one

select sum(arraySum(arrayMap(n -> sipHash64(user_id, session_id, properties, n + {{ seed }}) % 7, range(20)))) as total
from events
order by total
limit 1
"""
LIGHT_SECONDS = 2.5  # a tenth on a quiet machine; the tests run beside others


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedProcess]:
    """A service with a slow pipe, and with events that it reads."""
    folder = tmp_path_factory.mktemp("abuse")
    home = project_folder(folder / "home", "pipes", "sql", "migrations")
    (home / "pipes" / "slow.sql").write_text(SLOW)
    with serving(running(folder / "data", ALSOBOUGHT_HOME=str(home))) as service:
        event = VIEW | {"properties": {"text": "x" * 1_000}}
        assert service.ask("/events?wait=true", [event | {"user_id": f"u{user}"} for user in range(4_000)])[0] == 200
        assert service.ask("/pipes/popular")[0] == 200
        yield service


def connected(service: ServedProcess) -> socket.socket:
    address = urlsplit(service.url)
    return socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20)


def worst(service: ServedProcess, times: int = 5) -> float:
    """Seconds of the slowest of some light requests."""
    taken = []
    for _ in range(times):
        for path in ("/healthz", "/pipes/popular?limit=1"):
            started = time.monotonic()
            assert service.ask(path)[0] == 200
            taken.append(time.monotonic() - started)
    return max(taken)


CHUNKED = b"POST %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("number", "sent"),
    [
        (1_100, b""),
        (400, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: "),
        (200, CHUNKED % b"/events" + b"1\r\n[\r\n"),
        (200, CHUNKED % b"/pipes/popular" + b"1\r\n{\r\n"),
        (200, b"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n["),
        (200, b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40),
    ],
    ids=["idle", "half a head", "half a post", "half of parameters", "half a large post", "does not read"],
)
def test_many_who_hold_a_connection_hold_nobody_up(service: ServedProcess, number: int, sent: bytes) -> None:
    with ExitStack() as stack:
        for _ in range(number):
            stack.enter_context(closing(connected(service))).sendall(sent)
        assert worst(service) < LIGHT_SECONDS


def test_thousands_of_connections_may_be_kept_alive(service: ServedProcess) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    try:
        with ExitStack() as stack:
            for _ in range(5_000):
                sock = stack.enter_context(closing(connected(service)))
                sock.sendall(b"GET /pipes/popular?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert sock.recv(4_096).startswith(b"HTTP/1.1 200 ")
            assert worst(service) < LIGHT_SECONDS
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_nothing_is_computed_for_callers_who_hung_up(service: ServedProcess) -> None:
    for seed in range(500):
        with closing(connected(service)) as sock:
            sock.sendall(b"GET /pipes/slow?seed=%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % seed)
    assert worst(service) < LIGHT_SECONDS
    time.sleep(1)
    with urllib.request.urlopen(f"{service.url}/metrics") as page:
        text = page.read().decode()
    counted = [
        line
        for line in text.splitlines()
        if 'pipe="slow"' in line and line.startswith("alsobought_pipe_requests_total")
    ]
    assert sum(float(line.split()[-1]) for line in counted) < 100, counted


def test_endless_bodies_end_at_the_limit(service: ServedProcess) -> None:
    ended = []

    def feed() -> None:
        with closing(connected(service)) as sock:
            sock.sendall(CHUNKED % b"/events")
            try:
                while True:
                    sock.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
            except OSError:
                ended.append(True)

    feeders = [threading.Thread(target=feed, daemon=True) for _ in range(8)]
    for feeder in feeders:
        feeder.start()
    assert worst(service) < LIGHT_SECONDS
    for feeder in feeders:
        feeder.join(30)
    assert len(ended) == 8


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/events", b"x\n" * 8_000_000),
        ("/events", b"[" + b"1," * 8_000_000 + b"1]"),
        ("/events", b'{"batch": [' + b'{"type":"track"},' * 900_000 + b"{}]}"),
        ("/events", b'{"client_id": "c", "events": [' + b"1," * 8_000_000 + b"1]}"),
        ("/items", b"{}\n" * 5_000_000),
        ("/users", b"{}\n" * 5_000_000),
        ("/pipes/popular", b'{"limit": [' + b"1," * 8_000_000 + b"1]}"),
        ("/events", b"[" * 16_000_000),
    ],
    ids=["lines", "numbers", "calls", "more calls", "items", "users", "parameters", "nested"],
)
def test_greedy_bodies_are_refused_without_growing(service: ServedProcess, path: str, body: bytes) -> None:
    before = memory(service)
    posting = [threading.Thread(target=refused, args=(service, path, body)) for _ in range(3)]
    for thread in posting:
        thread.start()
    peak = 0
    while any(thread.is_alive() for thread in posting):
        peak = max(peak, memory(service))
        time.sleep(0.02)
    assert worst(service) < LIGHT_SECONDS
    assert peak - before < 500_000_000


def refused(service: ServedProcess, path: str, body: bytes) -> None:
    try:
        with urllib.request.urlopen(urllib.request.Request(service.url + path, body), timeout=60):
            raise AssertionError("it was accepted")
    except urllib.error.HTTPError as error:
        with error:
            assert error.code in (400, 413, 503), error.read()


def worker_of(service: ServedProcess) -> int:
    (child,) = subprocess.run(
        ["pgrep", "-P", str(service.process.pid)], capture_output=True, check=True, text=True
    ).stdout.split()
    return int(child)


def memory(service: ServedProcess) -> int:
    """Bytes that the worker holds."""
    status = Path(f"/proc/{worker_of(service)}/status").read_text()
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1])


@pytest.mark.journey
def test_a_stop_finishes_the_requests_that_run(tmp_path: Path) -> None:
    home = project_folder(tmp_path / "home", "pipes", "sql", "migrations")
    (home / "pipes" / "slow.sql").write_text(SLOW.replace("range(20)", "range(80)"))
    answers = []
    with serving(running(tmp_path / "data", ALSOBOUGHT_HOME=str(home))) as service:
        event = VIEW | {"properties": {"text": "x" * 1_000}}
        assert service.ask("/events?wait=true", [event | {"user_id": f"u{user}"} for user in range(1_000)])[0] == 200
        assert service.ask("/pipes/slow")[0] == 200
        asking = threading.Thread(target=lambda: answers.append(service.ask("/pipes/slow?seed=1")[0]))
        asking.start()
        time.sleep(0.1)
        assert service.stop() < 10
        asking.join()
    assert answers == [200]


@pytest.mark.journey
def test_a_worker_that_hangs_is_replaced(tmp_path: Path) -> None:
    with serving(running(tmp_path / "data").with_short_timeouts()) as service:
        hanging = worker_of(service)
        os.kill(hanging, signal.SIGSTOP)
        until = time.monotonic() + 40
        while time.monotonic() < until:
            try:
                assert service.ask("/healthz")[0] == 200
                break
            except (OSError, json.JSONDecodeError):
                time.sleep(0.2)
        assert worker_of(service) != hanging
