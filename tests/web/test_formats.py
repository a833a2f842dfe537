"""Formats of answers, ETag and 304, and the body of a POST."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from alsobought.service.service import Service
from alsobought.web.factory import create_app
from tests.support.project import project_folder
from tests.support.web import VIEW, buy, error_of

CSV, NDJSON, PARQUET, JSON = "text/csv", "application/x-ndjson", "application/vnd.apache.parquet", "application/json"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
NESTED = """-- Integers that JavaScript would round, wherever they stand.
select
    toNullable(toUInt64(18446744073709551615)) as perhaps,
    [[toInt64(-9007199254740993)], [toInt64(1)]] as arrays,
    tuple(toUInt64(9007199254740993), 'x') as pair,
    cast((9007199254740993, 2) as Tuple(wide Int64, small Int64)) as named,
    map('a', toUInt64(9007199254740993), 'b', toUInt64(1)) as keyed,
    cast('170141183460469231731687303715884105727', 'Int128') as huge,
    [cast((1, [9007199254740993]) as Tuple(n UInt8, wide Array(UInt64)))] as nested,
    cast(null, 'Nullable(UInt64)') as nothing,
    true as truth,
    cast('9007199254740993.5', 'Decimal(38, 2)') as money
order by truth
limit 1
"""
COUNTED = "-- Views.\n{cache}\nselect count() as views from events where event_type = 'view' order by views limit 1\n"


@pytest.fixture(scope="module")
def client(make_shared_shop: Callable[..., Service]) -> FlaskClient:
    client = create_app(make_shared_shop()).test_client()
    buy(client, "o1", "tea", "mug")
    return client


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    project_folder(home, "sql", "migrations")
    (home / "pipes").mkdir()
    return home


@pytest.fixture(scope="module")
def own(home: Path, make_shared_shop: Callable[..., Service]) -> FlaskClient:
    """The endpoints of a shop whose pipes are written by tests."""
    return create_app(make_shared_shop(home=str(home))).test_client()


def get_answer(client: FlaskClient, accept: str | None, path: str = "/pipes/also_bought?item_id=tea") -> TestResponse:
    return client.get(path, headers={} if accept is None else {"Accept": accept})


# Accept


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        (BROWSER, JSON),
        ("application/*", JSON),
        (JSON + "; charset=utf-8", JSON),
        ("text/*", CSV),
        (CSV, CSV),
        ("TEXT/CSV; charset=utf-8; header=present", CSV),
        (NDJSON, NDJSON),
        (PARQUET, PARQUET),
        ("text/csv;q=0.2, application/x-ndjson;q=0.9", NDJSON),
        ("text/csv, application/json", JSON),
        ("application/json;q=0, */*;q=0.1", CSV),
        ("text/html, text/csv;q=0.1", CSV),
    ],
)
def test_the_accept_header_chooses_the_format(client: FlaskClient, accept: str | None, kind: str) -> None:
    for got in (
        get_answer(client, accept),
        client.post(
            "/pipes/also_bought", json={"item_id": "tea"}, headers={} if accept is None else {"Accept": accept}
        ),
    ):
        assert (got.status_code, got.mimetype) == (200, kind)
        assert got.headers["Vary"] == "Accept"


@pytest.mark.parametrize("accept", ["text/html", "image/png", "nonsense", "*/*;q=0", "application/json;q=0", "/"])
def test_an_unsatisfiable_accept_header_is_406_with_the_available_formats(client: FlaskClient, accept: str) -> None:
    got = get_answer(client, accept)
    error = error_of(got)
    assert (got.status_code, got.mimetype, error["code"]) == (406, JSON, "not_acceptable")
    assert all(kind in error["hint"] for kind in (JSON, CSV, NDJSON, PARQUET))
    assert got.headers["Vary"] == "Accept"


def test_a_suffix_overrides_the_accept_header(client: FlaskClient) -> None:
    for suffix, kind in (("csv", CSV), ("json", JSON), ("ndjson", NDJSON), ("parquet", PARQUET)):
        got = get_answer(client, "text/html", f"/pipes/also_bought.{suffix}?item_id=tea")
        assert (got.status_code, got.mimetype) == (200, kind)


def test_files_are_named_after_the_pipe(client: FlaskClient) -> None:
    for accept, name in ((CSV, "also_bought.csv"), (PARQUET, "also_bought.parquet")):
        assert get_answer(client, accept).headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert "Content-Disposition" not in get_answer(client, JSON).headers


# Values


def test_wide_integers_are_strings_at_any_depth(home: Path, own: FlaskClient) -> None:
    (home / "pipes" / "nested.sql").write_text(NESTED)
    body = json.loads(own.get("/pipes/nested").text)
    (row,) = body["data"]
    money = row.pop("money")
    assert money == pytest.approx(9007199254740993.5), "a decimal is a number"
    assert row == {
        "perhaps": "18446744073709551615",
        "arrays": [["-9007199254740993"], [1]],
        "pair": ["9007199254740993", "x"],
        "named": {"wide": "9007199254740993", "small": 2},
        "keyed": {"a": "9007199254740993", "b": 1},
        "huge": "170141183460469231731687303715884105727",
        "nested": [{"n": 1, "wide": ["9007199254740993"]}],
        "nothing": None,
        "truth": True,
    }
    assert {column["name"]: column["type"] for column in body["meta"]}["named"] == "Tuple(wide Int64, small Int64)"
    assert json.loads(own.get("/pipes/nested.ndjson").text) == row | {"money": money}

    (cells,) = csv.DictReader(io.StringIO(own.get("/pipes/nested.csv").text))
    assert (cells["truth"], cells["nothing"], cells["perhaps"]) == ("true", "", "18446744073709551615")
    assert [json.loads(cells[name]) for name in ("arrays", "keyed", "nested")] == [
        row["arrays"],
        row["keyed"],
        row["nested"],
    ]

    got = own.get("/pipes/nested.parquet")
    assert got.status_code == 200, got.text
    (stored,) = pq.read_table(io.BytesIO(got.data)).to_pylist()
    assert (stored["perhaps"], stored["arrays"], stored["nothing"]) == (2**64 - 1, [[-(2**53) - 1], [1]], None)
    assert dict(stored["keyed"]) == {"a": 2**53 + 1, "b": 1}
    assert stored["nested"] == [{"n": 1, "wide": [2**53 + 1]}]


# ETag


def conditional(client: FlaskClient, path: str, etag: str, **headers: str) -> TestResponse:
    return client.get(path, headers={"If-None-Match": etag, **headers})


@pytest.mark.parametrize("suffix", ["", ".json", ".csv", ".ndjson", ".parquet"])
def test_a_client_with_the_current_answer_gets_304_and_the_same_headers(client: FlaskClient, suffix: str) -> None:
    path = f"/pipes/also_bought{suffix}?item_id=tea"
    full = client.get(path, headers={"X-Request-Id": "one"})
    same = conditional(client, path, full.headers["ETag"], **{"X-Request-Id": "two"})
    assert (full.status_code, same.status_code, same.data) == (200, 304, b"")
    for name in ("ETag", "Cache-Control", "Vary"):
        assert same.headers[name] == full.headers[name]
    assert same.headers["X-Request-Id"] == "two"
    assert "Content-Length" not in same.headers
    assert conditional(client, path, "*").status_code == 304
    assert conditional(client, path, f'"other", {full.headers["ETag"]}').status_code == 304
    assert conditional(client, path, full.headers["ETag"].removeprefix("W/")).status_code == 304
    for other in ('"other"', "nonsense", ""):
        assert conditional(client, path, other).status_code == 200


def test_the_etag_changes_with_the_rows_the_format_and_the_text(home: Path, own: FlaskClient) -> None:
    pipe = home / "pipes" / "views.sql"
    pipe.write_text(COUNTED.format(cache=""))

    def etag(suffix: str = "") -> str:
        return own.get(f"/pipes/views{suffix}").headers["ETag"]

    first = etag()
    assert first.startswith('W/"')
    assert etag() == first, "a new request_id and new statistics do not change it"
    assert len({etag(suffix) for suffix in ("", ".csv", ".ndjson", ".parquet")}) == 4
    own.post("/events?wait=true", json=VIEW)
    second = etag()
    pipe.write_text(COUNTED.format(cache="").replace("Views", "All views"))
    third = etag()
    assert len({first, second, third}) == 3
    assert conditional(own, "/pipes/views", second).status_code == 200


@pytest.mark.parametrize("cache", ["", "-- @cache 500ms", "-- @cache 90s"])
def test_a_client_asks_again_each_time_since_any_event_may_make_its_answer_stale(
    home: Path, own: FlaskClient, cache: str
) -> None:
    (home / "pipes" / "views.sql").write_text(COUNTED.format(cache=cache))
    for _ in range(2):
        assert own.get("/pipes/views").headers["Cache-Control"] == "private, no-cache"


def test_an_event_changes_the_etag_of_answers_about_its_item(client: FlaskClient) -> None:
    got = client.get("/pipes/also_bought?item_id=tea")
    assert got.headers["Cache-Control"] == "private, no-cache", "60 seconds, but an event may invalidate it"
    buy(client, "o2", "tea", "spoon")
    assert conditional(client, "/pipes/also_bought?item_id=tea", got.headers["ETag"]).status_code == 200


def test_a_post_has_no_etag(client: FlaskClient) -> None:
    got = client.post("/pipes/trending", headers={"If-None-Match": "*"})
    assert (got.status_code, got.headers.get("ETag")) == (200, None)


@pytest.mark.parametrize("suffix", ["", ".csv", ".parquet"])
def test_head_is_get_without_the_body(client: FlaskClient, suffix: str) -> None:
    path = f"/pipes/trending{suffix}"
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["ETag"] == got.headers["ETag"]
    assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert int(head.headers["Content-Length"]) > 0
    assert client.head(path, headers={"If-None-Match": got.headers["ETag"]}).status_code == 304
    assert client.head("/pipes/nothing").status_code == 404


# The body of a POST


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded", "", "x"])
def test_a_body_is_read_as_json_whatever_its_content_type(client: FlaskClient, kind: str) -> None:
    got = client.post("/pipes/trending", data=b'{"limit": 1}', content_type=kind)
    assert (got.status_code, json.loads(got.text)["rows"]) == (200, 1)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"limit=1", "not a JSON object"),
        (b'--x\r\nContent-Disposition: form-data; name="limit"\r\n\r\n1\r\n--x--', "not a JSON object"),
        (b'"limit"', "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'[{"limit": 1}]', "not a JSON object"),
        (b'{"limit": NaN}', "not a JSON object"),
        (b'{"limit": Infinity}', "not a JSON object"),
        (b'{"limit": 1} {"limit": 2}', "not a JSON object"),
        (b'{"limit": 1, "limit": 2}', "'limit' occurs twice"),
        (b'{"limit": 1, "\\u006cimit": 1}', "'limit' occurs twice"),
        (b'{"category": "\\ud800"}', "not a JSON object"),
    ],
)
def test_an_invalid_body_is_400_with_the_problem(client: FlaskClient, body: bytes, problem: str) -> None:
    got = client.post("/pipes/trending", data=body)
    error = error_of(got)
    assert (got.status_code, error["code"]) == (400, "bad_request")
    assert problem in error["message"]
    assert error["hint"]


def test_a_parameter_in_the_query_and_the_body_is_a_duplicate(client: FlaskClient) -> None:
    got = client.post("/pipes/trending?limit=1", json={"limit": 2})
    details: list[dict[str, Any]] = error_of(got)["details"]
    assert (got.status_code, details) == (
        400,
        [{"param": "limit", "problem": "given 2 times; it takes one value"}],
    )
    assert client.post("/pipes/trending?limit=1", json={"limit": None}).status_code == 200
