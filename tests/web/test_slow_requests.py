"""Slow requests are logged with what they read, and without what may be personal."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.logs import open_log, trace_context
from alsobought.pipes.audience import Audience
from alsobought.service.service import Service
from alsobought.web.factory import create_app
from alsobought.web.slow_requests import explain_command, shown_parameters
from tests.support.web import VIEW

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ALWAYS = 0.000_001


@pytest.fixture(scope="module")
def shop(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop(slow_seconds=ALWAYS, record_requests=False)


@pytest.fixture
def client(shop: Service) -> FlaskClient:
    return create_app(shop).test_client()


@pytest.fixture
def written() -> Iterator[Callable[[int], list[dict[str, Any]]]]:
    """`written(2)`: the two lines of the log that are about slow requests, once they are there."""
    stream = StringIO()
    handler = open_log("json", "info", stream)

    def lines(number: int) -> list[dict[str, Any]]:
        until = time.monotonic() + 10
        while stream.getvalue().count('"slow: ') < number and time.monotonic() < until:
            time.sleep(0.01)
        read = [json.loads(line) for line in stream.getvalue().splitlines()]
        return [line for line in read if line["message"].startswith("slow: ")]

    yield lines
    logging.getLogger().removeHandler(handler)
    logging.captureWarnings(False)


def test_a_slow_request_is_one_line_with_its_plan_once_a_minute(
    client: FlaskClient, written: Callable[[int], list[dict[str, Any]]]
) -> None:
    client.post("/events?wait=true", json=VIEW | {"user_id": "secret-ada"})
    headers = {"X-Request-Id": "r1", "traceparent": TRACE}
    assert client.get("/pipes/recently_viewed?user_id=secret-ada&limit=7", headers=headers).status_code == 200
    (line,) = written(1)
    details = line["details"]
    assert (line["level"], line["request_id"]) == ("warning", "r1")
    assert (line["trace_id"], line["span_id"]) == trace_context(TRACE)
    assert details["parameters"] == {"user_id": "…", "limit": "7"}
    assert details["explain"] == "alsobought pipe explain recently_viewed user_id=… limit=7"
    assert (details["pipe"], details["status"], details["cached"], details["rows"]) == (
        "recently_viewed",
        200,
        False,
        1,
    )
    assert details["seconds"] >= 0
    assert details["bytes_read"] > details["rows_read"] > 0
    assert {read["table"] for read in details["plan"]} & {"user_history", "catalogue"}
    assert client.get("/pipes/recently_viewed?user_id=secret-eve").status_code == 200
    again = written(2)[1]
    assert "plan" not in again["details"]
    assert "trace_id" not in again
    assert "secret" not in json.dumps([line, again])


def test_a_failed_request_is_logged_and_one_for_no_pipe_is_not(
    client: FlaskClient, written: Callable[[int], list[dict[str, Any]]]
) -> None:
    assert client.get("/pipes/made_up").status_code == 404
    assert client.get("/pipes/popular?limit=0&made_up=1").status_code == 400
    (line,) = written(1)
    assert (line["details"]["status"], line["details"]["rows"]) == (400, 0)
    assert "made_up" not in json.dumps(line)


def test_fast_requests_are_not_logged_and_nothing_is_at_0(
    make_shop: Callable[..., Service], written: Callable[[int], list[dict[str, Any]]]
) -> None:
    for seconds in (0, 60):
        client = create_app(make_shop(slow_seconds=seconds)).test_client()
        assert client.get("/pipes/popular").status_code == 200
    assert written(0) == []


def test_values_are_shown_only_where_they_are_not_personal(shop: Service) -> None:
    pipe = shop.library["popular"]
    values: dict[str, list[object]] = {
        "user_id": ["ada"],
        "limit": [5],
        "exclude": ["tea", "mug"],
        "segment": ["ada"],
        "no": ["x"],
    }
    shown = shown_parameters(pipe, Audience(parameters=frozenset({"user_id"})), values)
    assert shown == {"user_id": "…", "limit": "5", "exclude": "tea,mug", "segment": "…"}
    assert shown_parameters(pipe, Audience(), {"exclude": ["\ud800", *range(9)]}) == {"exclude": "?,0,1,2,3,…"}
    assert (
        explain_command("also_bought", {"item_id": "a b; c"}) == "alsobought pipe explain also_bought item_id='a b; c'"
    )


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        f"{TRACE}-more",
        f'{TRACE}"}}',
    ],
)
def test_a_header_that_is_no_trace_is_left_out(header: str) -> None:
    assert trace_context(header) == ("", "")


def test_a_later_version_of_the_header_may_have_more() -> None:
    assert trace_context(f"01{TRACE[2:]}-more") == ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
