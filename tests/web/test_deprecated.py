"""A request with a deprecated parameter is answered as before; a header and the log say what to use instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.service.service import Service
from alsobought.web.factory import create_app

SCORES = ("decayed", "count", "cosine", "jaccard", "conditional", "lift", "llr")
SINCE = "@1795910400"  # 2026-11-29, midnight UTC


@pytest.fixture(scope="module")
def client(make_shared_shop: Callable[..., Service]) -> FlaskClient:
    """A shop with a few baskets of tea."""
    client = create_app(make_shared_shop()).test_client()
    baskets = ["tea mug", "tea mug pot", "tea pot pan pen", "mug pan", "pen"]
    events = [
        {"event_type": "purchase", "user_id": f"u{n}", "order_id": f"o{n}", "item_id": item}
        for n, basket in enumerate(baskets)
        for item in basket.split()
    ]
    assert client.post("/events?wait=true", json=events).status_code == 200
    return client


def rows(client: FlaskClient, path: str) -> list[dict[str, Any]]:
    got = client.get(path)
    assert got.status_code == 200, got.text
    found: list[dict[str, Any]] = json.loads(got.text)["data"]
    return found


@pytest.mark.parametrize("score", SCORES)
def test_a_score_of_also_bought_is_answered_by_the_pipe_that_takes_it(client: FlaskClient, score: str) -> None:
    asked = f"item_id=tea&limit=2&score={score}"
    found = rows(client, f"/pipes/also_bought?{asked}")
    assert found == [{**row, "source": "also_bought"} for row in rows(client, f"/pipes/also_bought_by_score?{asked}")]
    assert len(found) == 2
    body = json.loads(client.get(f"/pipes/also_bought?{asked}").text)
    assert body["pipe"]["name"] == "also_bought"


@pytest.mark.parametrize("fmt", ["", ".csv", ".ndjson"])
def test_a_deprecated_parameter_has_a_header_in_every_format(client: FlaskClient, fmt: str) -> None:
    for given in ("score=lift", "leave_out=bought", "user_id=u1&leave_out=seen&score=lift"):
        got = client.get(f"/pipes/also_bought{fmt}?item_id=tea&{given}")
        assert (got.status_code, got.headers.get("Deprecation")) == (200, SINCE)
    got = client.get(f"/pipes/also_bought{fmt}?item_id=tea&exclude_history=bought")
    assert "Deprecation" not in got.headers


def test_a_kept_answer_is_marked_for_who_asks_by_the_former_name_only(client: FlaskClient) -> None:
    old, new = "/pipes/popular?user_id=u1&leave_out=seen", "/pipes/popular?user_id=u1&exclude_history=seen"
    for path, marked in ((new, None), (old, SINCE), (new, None), (old, SINCE)):
        assert client.get(path).headers.get("Deprecation") == marked
    assert rows(client, old) == rows(client, new)
    assert client.get(old).headers["Cache-Status"] == "alsobought; hit"


def test_the_log_has_each_deprecated_parameter_of_a_pipe_once(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        rows(client, "/pipes/all_items?user_id=u1&leave_out=seen")
        rows(client, "/pipes/trending?user_id=u1&leave_out=seen")
    assert [message for message in caplog.messages if "deprecated" in message] == [
        "pipes/all_items: the parameter leave_out is deprecated since 2026-11-29: use exclude_history",
        "pipes/trending: the parameter leave_out is deprecated since 2026-11-29: use exclude_history",
    ]


def test_a_mistake_in_a_deprecated_parameter_is_told_under_its_name(client: FlaskClient) -> None:
    for given, problem in (
        ("score=guess", "score: 'guess' is not one of decayed, count"),
        ("leave_out=all", "leave_out: 'all' is not one of nothing, bought, seen"),
        ("leave_out=seen&exclude_history=seen", "exclude_history: given also as leave_out, its former name"),
    ):
        got = client.get(f"/pipes/also_bought?item_id=tea&{given}")
        assert got.status_code == 400
        assert problem in json.loads(got.text)["error"]["message"]


def test_a_list_filled_by_also_bought_keeps_the_order_of_the_score(client: FlaskClient) -> None:
    """viewed_also_viewed hands its score on, to the pipe that takes it now."""
    for score in ("lift", "llr"):
        filled = rows(client, f"/pipes/viewed_also_viewed?item_id=tea&limit=4&score={score}")
        asked = rows(client, f"/pipes/also_bought_by_score?item_id=tea&limit=4&score={score}")
        assert [row["other_item_id"] for row in filled] == [row["other_item_id"] for row in asked]
        assert {row["source"] for row in filled} == {"also_bought"}


def test_the_reference_marks_what_is_deprecated(client: FlaskClient) -> None:
    api = json.loads(client.get("/openapi.json").text)
    listed = {one["name"]: one for one in api["paths"]["/pipes/also_bought"]["get"]["parameters"]}
    assert {name for name, one in listed.items() if one.get("deprecated")} == {"score", "leave_out"}
    assert listed["score"]["schema"]["enum"] == list(SCORES)
    assert "default" not in listed["leave_out"]["schema"], "a generated client would send it with every request"
    assert listed["leave_out"]["description"] == "deprecated since 2026-11-29: use exclude_history"
    question = api["components"]["schemas"]["AlsoBoughtParameters"]["properties"]
    assert question["score"]["deprecated"] is question["leave_out"]["deprecated"] is True
    page = client.get("/docs").text
    assert '<code>leave_out</code> <span class="badge">deprecated</span>' in page
    pipes = {one["name"]: one for one in json.loads(client.get("/pipes").text)["pipes"]}
    names = [one["name"] for one in pipes["also_bought"]["parameters"]]
    assert "exclude_history" in names, "the form shows what a group brings"
    assert not {"score", "leave_out"} & set(names)


def test_the_workbench_shows_the_sql_of_the_pipe_that_answers(client: FlaskClient) -> None:
    got = client.get("/workbench/pipes/also_bought/sql?item_id=tea&score=lift&leave_out=seen")
    assert got.status_code == 200, got.text
    body = json.loads(got.text)
    assert {one["name"]: one["value"] for one in body["values"]}["score"] == "lift"
    assert client.get("/workbench/pipes/also_bought/plan?item_id=tea&score=lift").status_code == 200
