"""The fast lane repeats what Flask answered, while the cache has it, and leaves everything unusual to Flask."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alsobought.service.service import Service
from alsobought.web.factory import create_app
from alsobought.web.fast_lane import FastLane
from alsobought.writer.submission import utc_now
from tests.support.process import running, serving
from tests.support.project import project_folder
from tests.support.web import VIEW, buy

URL = "/pipes/also_bought?item_id=tea&limit=1"  # so that no fallback with a shorter lifetime is needed
HEADERS = {"Host": "localhost", "Accept": "*/*"}


@pytest.fixture(scope="module")
def shop(make_shared_shop: Callable[..., Service]) -> Service:
    """Its clock is right, since the table `requests` forgets those of long ago."""
    shop = make_shared_shop(utc_now, cors="https://shop.example")
    buy(create_app(shop).test_client(), "o1", "tea", "mug")
    return shop


@pytest.fixture
def app(shop: Service) -> Flask:
    """An application of its own for each test: its fast lane knows no URL yet."""
    return create_app(shop)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def lane(app: Flask) -> FastLane:
    made: FastLane = app.extensions["fast_lane"]
    return made


def asked(client: FlaskClient, url: str = URL, **headers: str) -> dict[str, object]:
    got = client.get(url, headers={**HEADERS, **headers}, environ_overrides={"RAW_URI": url})
    assert got.status_code == 200
    return {"headers": dict(got.headers), "body": json.loads(got.text)}


def head(url: str = URL, **headers: str) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in {**HEADERS, **headers}.items())
    return f"GET {url} HTTP/1.1\r\n{lines}\r\n".encode("latin1")


def parsed(response: bytes | None) -> dict[str, object]:
    assert response
    start, _, body = response.partition(b"\r\n\r\n")
    first, *lines = start.decode("latin1").split("\r\n")
    assert first == "HTTP/1.1 200 OK"
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers["Content-Length"]) == len(body)
    return {"headers": headers, "body": json.loads(body)}


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://shop.example"}, {"Accept": "application/json"}])
def test_a_response_is_that_of_flask(client: FlaskClient, lane: FastLane, headers: dict[str, str]) -> None:
    assert lane.respond(head(**headers)) is None
    asked(client, **headers)
    repeated, expected = parsed(lane.respond(head(**headers))), asked(client, **headers)
    for answer in (repeated, expected):
        for name in ("request_id", "recommendation_id"):
            assert answer["body"].pop(name)  # type: ignore[attr-defined]
        for name in ("X-Request-Id", "Recommendation-Id", "Content-Length", "Date", "Server", "Connection"):
            answer["headers"].pop(name, None)  # type: ignore[attr-defined]
    assert repeated == expected


def test_a_later_page_and_its_link_are_repeated(client: FlaskClient, lane: FastLane) -> None:
    buy(client, "o9", "jar", "cup", "pan")
    first = asked(client, "/pipes/all_items?limit=1")
    url = f"/pipes/all_items?limit=1&cursor={first['body']['next']}"  # type: ignore[index]
    second = asked(client, url)
    repeated = parsed(lane.respond(head(url)))
    assert repeated["body"]["data"] == second["body"]["data"] != first["body"]["data"]  # type: ignore[index]
    assert repeated["headers"]["Link"] == second["headers"]["Link"]  # type: ignore[index]
    assert repeated["headers"]["Link"].startswith("<?limit=1&cursor=")  # type: ignore[index]


def test_each_response_has_its_own_id(client: FlaskClient, lane: FastLane) -> None:
    asked(client)
    answers = [parsed(lane.respond(head())) for _ in range(2)]
    ids = [answer["body"]["request_id"] for answer in answers]  # type: ignore[index]
    assert ids == [answer["headers"]["X-Request-Id"] for answer in answers]  # type: ignore[index]
    assert len(set(ids)) == 2


def test_an_event_about_the_item_ends_it_until_flask_has_answered_again(client: FlaskClient, lane: FastLane) -> None:
    asked(client)
    assert lane.respond(head())
    client.post("/events?wait=true", json=VIEW | {"item_id": "mug"})
    assert lane.respond(head())
    buy(client, "o2", "tea", "pot")
    assert lane.respond(head()) is None
    newer = asked(client)["body"]["data"]  # type: ignore[index]
    assert parsed(lane.respond(head()))["body"]["data"] == newer  # type: ignore[index]
    assert newer[0]["baskets"] == 1


def test_only_what_was_asked_is_repeated(client: FlaskClient, lane: FastLane) -> None:
    asked(client)
    for other in (
        head("/pipes/also_bought?item_id=mug&limit=1"),
        head("/pipes/also_bought?item_id=tea"),
        head(Accept="text/csv"),
        head(Origin="https://other.example"),
    ):
        assert lane.respond(other) is None


@pytest.mark.parametrize(
    "unusual",
    [
        head().replace(b"GET", b"POST"),
        head().replace(b"GET", b"HEAD"),
        head().replace(b"HTTP/1.1", b"HTTP/1.0"),
        head().replace(b"Host: localhost\r\n", b""),
        head().replace(b"Host: localhost\r\n", b"Host: localhost\r\nHost: other\r\n"),
        head().replace(b"Accept: */*", b"Accept: */*\r\nAccept: text/csv"),
        head().replace(b"\r\n\r\n", b"\r\n folded\r\n\r\n"),
        head()[:-2],
        head() + head(),
        head() + b"x",
        head(Connection="close"),
        head().replace(b"Accept", b"Acc ept"),
        head().replace(b"*/*", b"*/*\0"),
        *(
            head(**{name: "1"})
            for name in (
                *("Cache-Control", "If-None-Match", "Authorization", "X-Request-Id", "Content-Length"),
                *("Transfer-Encoding", "Expect", "Upgrade"),
            )
        ),
    ],
)
def test_an_unusual_request_is_left_to_flask(client: FlaskClient, lane: FastLane, unusual: bytes) -> None:
    asked(client)
    assert lane.respond(unusual) is None
    assert lane.respond(head())


def test_headers_without_a_meaning_for_pipes_are_ignored(client: FlaskClient, lane: FastLane) -> None:
    asked(client)
    ignored = {
        "User-Agent": "shop/1",
        "Cookie": "a=b",
        "X-Forwarded-For": "10.0.0.1",
        "Sec-Fetch-Mode": "cors",
        "X-Trace_1": "é",
    }
    assert lane.respond(head(**ignored, connection="Keep-Alive"))


def test_answers_that_flask_decides_each_time_are_not_repeated(client: FlaskClient, lane: FastLane) -> None:
    for url in (
        "/pipes/also_bought.csv?item_id=tea",
        "/pipes/also_bought?item_id=tea&score=lift",
        "/pipes",
    ):
        assert client.get(url, headers=HEADERS, environ_overrides={"RAW_URI": url}).status_code == 200
        assert lane.respond(head(url)) is None


def test_that_the_loop_runs_is_answered_without_a_thread(client: FlaskClient, lane: FastLane) -> None:
    response = lane.respond(head("/healthz"))
    assert response
    start, _, body = response.partition(b"\r\n\r\n")
    assert start.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(body)}".encode() in start
    assert json.loads(body) == json.loads(client.get("/healthz").text)
    assert lane.respond(head("/healthz").replace(b"localhost", b"evil.example")) is None


def test_repeated_responses_are_counted_and_recorded(shop: Service, client: FlaskClient, lane: FastLane) -> None:
    asked(client)
    answers = [parsed(lane.respond(head())) for _ in range(3)]
    count = re.search(
        r'alsobought_pipe_requests_total\{pipe="also_bought",status="200"\} (\d+)', client.get("/metrics").text
    )
    assert count
    assert int(count[1]) == 4
    assert shop.request_log
    shop.request_log.flush()
    table = f"{shop.warehouse.database}.requests"
    sql = f"select request_id, parameters, item_ids from {table} where kept order by time desc limit 3"
    rows = shop.warehouse.trusted_rows(sql).data
    assert {row[0] for row in rows} == {answer["body"]["request_id"] for answer in answers}  # type: ignore[index]
    assert {row[1] for row in rows} == {'{"item_id":["tea"],"limit":["1"]}'}
    assert all(row[2][0] == "mug" for row in rows)


def test_over_a_socket_a_saved_pipe_answers_the_next_request(tmp_path: Path) -> None:
    project_folder(tmp_path / "home")
    pipe = tmp_path / "home" / "pipes" / "number.sql"
    text = "-- A number.\n--\n-- @cache 60s\n\nselect 1 as number order by number limit 1\n"
    pipe.write_text(text)
    with serving(running(tmp_path / "data").at(tmp_path / "home")) as service:
        for expected in (1, 22, 333):
            pipe.write_text(text.replace("select 1", f"select {expected}"))
            for _ in range(3):
                assert service.ask("/pipes/number")[1]["data"] == [{"number": expected}]
