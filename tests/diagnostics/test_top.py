"""`alsobought top`: what two readings of /metrics show, on any terminal; and what it says where it can read nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from alsobought.cli.main import main
from alsobought.diagnostics.metrics_page import MetricsPage, difference, read_page
from alsobought.diagnostics.overview import Overview, SlowRequest, overview, window
from alsobought.diagnostics.screen import lines
from tests.support.web import VIEW

BEFORE = """
alsobought_pipe_requests_total{pipe="for_you",status="200"} 10
alsobought_pipe_requests_total{pipe="rank",status="200"} 100
alsobought_pipe_seconds_bucket{pipe="for_you",le="0.1"} 10
alsobought_pipe_seconds_bucket{pipe="for_you",le="0.25"} 10
alsobought_pipe_seconds_bucket{pipe="for_you",le="+Inf"} 10
alsobought_cache_requests_total{outcome="hit"} 50
alsobought_cache_requests_total{outcome="miss"} 50
"""
AFTER = """
alsobought_pipe_requests_total{pipe="for_you",status="200"} 28
alsobought_pipe_requests_total{pipe="for_you",status="504"} 2
alsobought_pipe_requests_total{pipe="rank",status="200"} 100
alsobought_pipe_seconds_bucket{pipe="for_you",le="0.1"} 10
alsobought_pipe_seconds_bucket{pipe="for_you",le="0.25"} 30
alsobought_pipe_seconds_bucket{pipe="for_you",le="+Inf"} 30
alsobought_pipe_slowest_seconds{pipe="for_you"} 0.2
alsobought_cache_requests_total{outcome="hit"} 53
alsobought_cache_requests_total{outcome="miss"} 51
alsobought_rejected_rows_total{kind="event",reason="item_id"} 4
alsobought_lane_threads{lane="light"} 32
alsobought_lane_requests{lane="light",state="waiting"} 7
alsobought_learned_time_seconds{name="factors"} 1000
alsobought_learned_time_seconds{name="neighbours"} 2000
"""


@pytest.fixture
def seen() -> Overview:
    return overview(read_page(BEFORE, 0.0), read_page(AFTER, 10.0), now=5000.0)


def test_rates_and_quantiles_are_those_between_two_readings(seen: Overview) -> None:
    first, second = seen.pipes
    assert (first.name, first.per_second, first.errors, first.slowest) == ("for_you", 2.0, 2, 0.2)
    assert first.p50 == pytest.approx(0.175)
    assert first.p99 == 0.2, "not above the slowest"
    assert (second.name, second.per_second, second.requests) == ("rank", 0, 100)
    assert (seen.requests_per_second, seen.errors_per_second, seen.cache_hits) == (2.0, 0.2, 0.75)
    assert (seen.rejected, seen.lanes[0].waiting) == ({"item_id": 4}, 7)
    assert seen.learned == {"factors": 4000, "neighbours": 3000}
    assert (seen.memory, seen.ready, seen.backup_age) == (None, None, None)


def test_a_restart_of_the_service_is_no_negative_rate() -> None:
    old, new = read_page(AFTER, 0.0), read_page(BEFORE, 10.0)
    assert difference(old, new, "pipe_requests_total", pipe="for_you") == 10
    assert overview(old, new, now=0.0).pipes[0].p50 is not None


def test_a_window_is_as_long_as_asked() -> None:
    pages = [MetricsPage(at, {}) for at in (0.0, 30.0, 60.0, 90.0)]
    assert [window(pages, seconds).at for seconds in (1, 30, 65, 999)] == [90.0, 60.0, 30.0, 0.0]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 50), (40, 10), (119, 12), (10, 3)])
def test_every_terminal_gets_as_much_as_fits(seen: Overview, width: int, height: int) -> None:
    slow = [SlowRequest("2026-01-01 12:34:56.000", "for_you", 1.25, 1000, 200, "r1")] * 20
    shown = lines(msgspec.structs.replace(seen, slowest=slow), "http://shop", "q leaves", width, height)
    assert len(shown) <= height
    assert max(line.cell_len for line in shown) <= width
    assert shown[0].plain.startswith("Alsobou")
    assert shown[-1].plain == "q leaves"
    text = "\n".join(line.plain for line in shown)
    assert ("for_you" in text) == (height > 12)
    assert ("12:34:56" in text) == (height > 12)


def test_the_page_of_a_service_is_read_whole(client: FlaskClient) -> None:
    before = read_page(client.get("/metrics").text, 0.0)
    client.post("/events?wait=true", json=[VIEW, {"event_type": "view"}])
    client.get("/pipes/popular")
    seen = overview(before, read_page(client.get("/metrics").text, 2.0), now=10.0**10)
    assert seen.version
    assert [(pipe.name, pipe.per_second) for pipe in seen.pipes] == [("popular", 0.5)]
    assert (seen.events_per_second, seen.posts_per_second, sum(seen.rejected.values())) == (0.5, 0.5, 1)
    assert seen.writer_running
    assert (seen.memory or 0) > 0
    assert seen.queries == {"running": 0, "waiting": 0}


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        is_allowed = self.headers["Authorization"] == "Bearer key-of-the-file"
        self.send_response(200 if is_allowed else 401)
        self.end_headers()
        self.wfile.write(AFTER.encode() if is_allowed else b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def top() -> Callable[..., tuple[int, str]]:
    def run(*arguments: str) -> tuple[int, str]:
        ran = CliRunner().invoke(main, ["top", "--interval", "0.2", *arguments])
        return ran.exit_code, ran.output

    return run


def test_what_is_no_terminal_gets_one_reading(
    top: Callable[..., tuple[int, str]], address: str, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("key-of-the-file\n")
    status, text = top("--url", address, "--key-file", str(tmp_path / "key"))
    assert status == 0
    assert "for_you" in text
    status, text = top("--url", address, "--key-file", str(tmp_path / "key"), "--json")
    assert (status, msgspec.json.decode(text)["rejected"]) == (0, {"item_id": 4})


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "needs a key for /metrics. It takes the scope metrics. `alsobought key create top --scope metrics`"),
        ("http://127.0.0.1:1", "no service answers at http://127.0.0.1:1: connection refused. Start one with"),
        ("shop.example", "'shop.example' is not the address of a service. Write it like http://127.0.0.1:8080"),
    ],
)
def test_where_nothing_can_be_read_it_says_what_to_do(
    top: Callable[..., tuple[int, str]], address: str, url: str, says: str
) -> None:
    status, text = top("--once", "--url", url or address)
    assert status == 1
    assert says in " ".join(text.split())
