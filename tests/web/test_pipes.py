"""Pipes over HTTP: the JSON of an answer, formats, parameters in query and body, errors."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from flask.testing import FlaskClient

from alsobought.pipes.library import Library
from alsobought.service.service import Service
from alsobought.web.factory import create_app
from tests.support.project import project_folder
from tests.support.web import AWKWARD

TYPES = """-- Every kind of value.
--
-- :name    String = 'x'    a text
-- :names   Array(String)?  texts
-- :small   UInt8?          a byte
-- :signed  Int64?          a signed one
-- :share   Float64?        a fraction
-- :yes     Bool?           a switch
-- :day     Date?           a day
-- :at      DateTime?       a moment
select
    {{ name }} as text,
    {% if names %} length({{ names }}) {% else %} toUInt64(0) {% endif %} as many,
    toUInt64(9007199254740993) as wide,
    toUInt64(9007199254740992) as widest,
    toInt64(-9007199254740993) as below,
    [toUInt64(1), toUInt64(18446744073709551615)] as wides,
    toUInt8({% if small %} {{ small }} {% else %} 0 {% endif %}) as byte,
    toInt64({% if signed %} {{ signed }} {% else %} 0 {% endif %}) as number,
    toFloat64({% if share %} {{ share }} {% else %} 0 {% endif %}) as fraction,
    {% if yes %} {{ yes }} {% else %} false {% endif %} as switch,
    {% if day %} {{ day }} {% else %} toDate('2020-01-01') {% endif %} as date_of,
    {% if at %} {{ at }} {% else %} toDateTime64('2020-01-01 00:00:00', 3, 'UTC') {% endif %} as moment,
    toNullable('') as perhaps
order by text
limit 1
"""


@pytest.fixture(scope="module")
def client(make_shared_shop: Callable[..., Service]) -> FlaskClient:
    """The endpoints of a shop that sells tea and a mug together, and a lamp alone.

    For tests that only read.
    """
    client = create_app(make_shared_shop()).test_client()
    bought = [
        ("tea", "o1"),
        ("mug", "o1"),
        ("tea", "o2"),
        ("mug", "o2"),
        ("lamp", "o3"),
        (AWKWARD, "o4"),
        ("cup", "o4"),
    ]
    events = [{"event_type": "purchase", "user_id": "u", "item_id": item, "order_id": order} for item, order in bought]
    assert client.post("/events", json=events).status_code == 202
    return client


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder of its own."""
    home = tmp_path_factory.mktemp("home")
    project_folder(home, "sql", "migrations")
    (home / "pipes").mkdir()
    return home


@pytest.fixture(scope="module")
def own(home: Path, make_shared_shop: Callable[..., Service]) -> FlaskClient:
    """The endpoints of an empty shop whose pipes are the files of `types`."""
    return create_app(make_shared_shop(home=str(home))).test_client()


@pytest.fixture
def types(home: Path, own: FlaskClient) -> FlaskClient:
    """The endpoints of an empty shop whose only pipe is `types`."""
    for path in (home / "pipes").iterdir():
        path.unlink()
    (home / "pipes" / "types.sql").write_text(TYPES)
    return own


def body_of(client: FlaskClient, path: str, **request: Any) -> dict[str, Any]:
    got = client.get(path, **request)
    assert got.status_code == 200, got.text
    body: dict[str, Any] = json.loads(got.text)
    return body


def test_an_answer_has_exactly_these_members(client: FlaskClient) -> None:
    got = client.get("/pipes/also_bought?item_id=tea&limit=1", headers={"X-Request-Id": "shelf-7"})
    body = json.loads(got.text)
    assert got.mimetype == "application/json"
    assert list(body) == [
        "meta",
        "data",
        "rows",
        "next",
        "statistics",
        "pipe",
        "as_of",
        "recommendation_id",
        "request_id",
    ]
    assert body["meta"] == [
        {"name": "item_id", "type": "String"},
        {"name": "other_item_id", "type": "String"},
        {"name": "title", "type": "String"},
        {"name": "category", "type": "String"},
        {"name": "price", "type": "Decimal(18, 4)"},
        {"name": "currency", "type": "String"},
        {"name": "url", "type": "String"},
        {"name": "image", "type": "String"},
        {"name": "baskets", "type": "Int64"},
        {"name": "score", "type": "Float64"},
        {"name": "reason", "type": "String"},
        {"name": "source", "type": "String"},
    ]
    assert [(row["other_item_id"], row["baskets"]) for row in body["data"]] == [("mug", 2)]
    assert [list(row) for row in body["data"]] == [[column["name"] for column in body["meta"]]]
    assert body["rows"] == 1
    assert list(body["statistics"]) == ["elapsed", "rows_read", "bytes_read"]
    assert body["statistics"]["elapsed"] > 0
    assert body["statistics"]["rows_read"] > 0
    assert list(body["pipe"]) == ["name", "version", "fallback"]
    assert body["pipe"]["name"] == "also_bought"
    assert body["pipe"]["fallback"] is None
    assert body["as_of"] == "2026-01-01T12:00:00.000Z"
    assert body["request_id"] == got.headers["X-Request-Id"] == "shelf-7"


def test_as_of_is_null_before_anything_is_stored(types: FlaskClient) -> None:
    assert body_of(types, "/pipes/types")["as_of"] is None


@pytest.mark.parametrize("requested", ["", "two words", "x" * 65, "é", 'a"b', "<script>"])
def test_a_missing_or_invalid_request_id_is_replaced(client: FlaskClient, requested: str) -> None:
    ids = [body_of(client, "/pipes/trending", headers={"X-Request-Id": requested})["request_id"] for _ in range(2)]
    assert all(re.fullmatch(r"[0-9a-f]{16}", request_id) for request_id in ids)
    assert ids[0] != ids[1]


def test_the_version_changes_with_the_text(types: FlaskClient, home: Path) -> None:
    before = body_of(types, "/pipes/types")["pipe"]["version"]
    assert body_of(types, "/pipes/types")["pipe"]["version"] == before
    (home / "pipes" / "types.sql").write_text(TYPES.replace("Every kind", "All kinds"))
    assert body_of(types, "/pipes/types")["pipe"]["version"] != before


def test_get_and_post_give_the_same_answer(client: FlaskClient) -> None:
    by_get = body_of(client, "/pipes/also_bought?item_id=tea&item_id=cup&limit=3")
    posted = json.loads(client.post("/pipes/also_bought", json={"item_id": ["tea", "cup"], "limit": 3}).text)
    mixed = json.loads(client.post("/pipes/also_bought?item_id=tea&limit=3", json={"item_id": "cup"}).text)
    nothing = json.loads(client.post("/pipes/also_bought?item_id=tea&item_id=cup&limit=3").text)
    null = json.loads(
        client.post("/pipes/also_bought?limit=3", json={"item_id": ["tea", "cup"], "category": None}).text
    )
    for same in (posted, mixed, nothing, null):
        assert (same["data"], same["meta"]) == (by_get["data"], by_get["meta"])
    assert {row["item_id"] for row in by_get["data"]} == {"tea", "cup"}


def test_values_arrive_as_they_were_sent(types: FlaskClient) -> None:
    sent = {
        "name": AWKWARD,
        "names": ["a,b", "c"],
        "small": 255,
        "signed": -(2**63),
        "share": -0.25,
        "yes": True,
        "day": "2024-02-29",
        "at": "2024-02-29T12:30:00.250+02:00",
    }
    (row,) = json.loads(types.post("/pipes/types", json=sent).text)["data"]
    (same,) = body_of(types, "/pipes/types", query_string={**sent, "yes": "true"})["data"]
    assert row == same
    assert (row["text"], row["many"], row["byte"], row["number"]) == (AWKWARD, 2, 255, "-9223372036854775808")
    assert (row["fraction"], row["switch"], row["date_of"]) == (-0.25, True, "2024-02-29")
    assert row["moment"] == "2024-02-29T10:30:00.250Z"


def test_integers_that_javascript_would_round_are_strings(types: FlaskClient) -> None:
    (row,) = body_of(types, "/pipes/types")["data"]
    assert (row["wide"], row["below"]) == ("9007199254740993", "-9007199254740993")
    assert row["widest"] == 2**53
    assert row["wides"] == [1, "18446744073709551615"]
    assert row["byte"] == 0


def test_an_empty_list_is_filled_by_the_fallback_in_the_same_columns(client: FlaskClient) -> None:
    full = body_of(client, "/pipes/also_bought?item_id=tea")
    filled = body_of(client, "/pipes/also_bought?item_id=nobody-bought-this")
    assert filled["pipe"]["name"] == "also_bought"
    assert filled["pipe"]["fallback"] == "trending"
    assert filled["meta"] == full["meta"]
    assert filled["rows"] == len(filled["data"]) > 0
    for row in filled["data"]:
        assert list(row) == [column["name"] for column in full["meta"]]
        assert row["item_id"] == "nobody-bought-this"
        assert row["other_item_id"]
        assert row["baskets"] is None


# Formats


def test_csv_ndjson_parquet_and_json_hold_the_same_rows(client: FlaskClient) -> None:
    ask = "item_id=tea&item_id=cup&limit=1"
    rows = body_of(client, f"/pipes/also_bought?{ask}")["data"]
    assert [row["other_item_id"] for row in rows] == [AWKWARD, "mug"]
    assert body_of(client, f"/pipes/also_bought.json?{ask}")["data"] == rows

    got = client.get(f"/pipes/also_bought.csv?{ask}")
    assert got.mimetype == "text/csv"
    read = list(csv.DictReader(io.StringIO(got.text, newline="")))
    numbers = {"baskets": int, "score": float, "price": float}
    assert [{**row, **{name: kind(row[name]) for name, kind in numbers.items()}} for row in read] == rows

    got = client.get(f"/pipes/also_bought.ndjson?{ask}")
    assert got.mimetype == "application/x-ndjson"
    assert [json.loads(line) for line in got.text.splitlines()] == rows

    got = client.get(f"/pipes/also_bought.parquet?{ask}")
    assert got.mimetype == "application/vnd.apache.parquet"
    assert [{**row, "price": float(row["price"])} for row in pq.read_table(io.BytesIO(got.data)).to_pylist()] == rows


def test_parquet_keeps_the_types_and_the_wide_integers(types: FlaskClient) -> None:
    table = pq.read_table(io.BytesIO(types.get("/pipes/types.parquet").data))
    columns = {field.name: str(field.type) for field in table.schema}
    assert columns["wide"] == "uint64"
    assert columns["byte"] == "uint8"
    assert columns["switch"] == "bool"
    assert columns["date_of"] == "date32[day]"
    assert columns["moment"] == "timestamp[ms, tz=UTC]"
    assert table["wide"].to_pylist() == [9007199254740993]
    assert table["wides"].to_pylist() == [[1, 18446744073709551615]]


def test_low_cardinality_columns_have_plain_types_in_every_format(types: FlaskClient, home: Path) -> None:
    text = "select event_type as low, [event_type] as several from events order by low, several limit 1"
    (home / "pipes" / "low.sql").write_text(f"-- Low.\n{text}\n")
    body = body_of(types, "/pipes/low")
    assert [column["type"] for column in body["meta"]] == ["String", "Array(String)"]
    got = types.get("/pipes/low.parquet")
    assert got.status_code == 200
    assert pq.read_table(io.BytesIO(got.data)).column_names == ["low", "several"]


@pytest.mark.parametrize("name", ["a\rb", "\r", "a\r\nb", "\n", '"\r"', ","])
def test_csv_preserves_every_line_ending(types: FlaskClient, name: str) -> None:
    got = types.get("/pipes/types.csv", query_string={"name": name})
    (row,) = csv.DictReader(io.StringIO(got.text, newline=""))
    assert row["text"] == name


def test_an_answer_without_rows_is_readable_in_every_format(types: FlaskClient, home: Path) -> None:
    (home / "pipes" / "goods.sql").write_text("-- Goods.\nselect item_id, price from items order by item_id limit 9\n")
    body = body_of(types, "/pipes/goods")
    assert (body["data"], body["rows"], len(body["meta"])) == ([], 0, 2)
    assert types.get("/pipes/goods.csv").text == "item_id,price\n"
    assert types.get("/pipes/goods.ndjson").text == ""
    table = pq.read_table(io.BytesIO(types.get("/pipes/goods.parquet").data))
    assert (table.num_rows, table.column_names) == (0, ["item_id", "price"])


def test_a_fallback_is_readable_as_parquet_and_csv(client: FlaskClient) -> None:
    table = pq.read_table(io.BytesIO(client.get("/pipes/also_bought.parquet?item_id=nothing").data))
    assert set(table["baskets"].to_pylist()) == {None}
    assert set(table["item_id"].to_pylist()) == {"nothing"}
    read = list(csv.DictReader(io.StringIO(client.get("/pipes/also_bought.csv?item_id=nothing").text)))
    assert {row["baskets"] for row in read} == {""}


# The list


def test_the_list_has_everything_a_form_needs(types: FlaskClient, home: Path) -> None:
    (home / "pipes" / "broken.sql").write_text("-- Nothing.\nselect 1 from nowhere order by 1 limit 1\n")
    body = body_of(types, "/pipes")
    broken, pipe = body["pipes"]
    assert broken == {
        "name": "broken",
        "ready": False,
        "stale": False,
        "private": True,
        "user_parameters": [],
        "sentence": "",
        "description": "",
        "parameters": [],
        "columns": [],
        "version": "",
    }
    assert (pipe["name"], pipe["ready"], pipe["stale"], pipe["sentence"]) == (
        "types",
        True,
        False,
        "Every kind of value.",
    )
    assert {"name": "wide", "type": "UInt64"} in pipe["columns"]
    assert pipe["parameters"][2] == {
        "name": "small",
        "type": "UInt8",
        "required": False,
        "repeated": False,
        "default": None,
        "minimum": 0,
        "maximum": 255,
        "choices": None,
        "min_length": None,
        "max_length": None,
        "pattern": None,
        "description": "a byte",
    }


def test_the_list_marks_a_broken_pipe_as_stale_while_its_last_good_text_answers(types: FlaskClient, home: Path) -> None:
    assert [pipe["stale"] for pipe in body_of(types, "/pipes")["pipes"]] == [False]
    (home / "pipes" / "types.sql").write_text(TYPES.replace("as text", "as text from nowhere"))
    got = types.get("/pipes")
    (pipe,) = json.loads(got.text)["pipes"]
    assert (pipe["ready"], pipe["stale"]) == (True, True)
    assert "nowhere" not in got.text
    assert body_of(types, "/pipes/types")["rows"] == 1


@pytest.mark.parametrize("path", ["/pipes", "/openapi.json"])
def test_a_file_deleted_while_pipes_are_listed_is_left_out(
    types: FlaskClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(Library, "names", lambda _: ["gone", "types"])
    body = body_of(types, path)
    assert "gone" not in json.dumps(body)
    assert "types" in json.dumps(body)


# Errors


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/pipes/nothing", 404, "no_such_pipe"),
        ("POST", "/pipes/nothing", 404, "no_such_pipe"),
        ("GET", "/pipes/../pipes/trending", 404, "no_such_pipe"),
        ("GET", "/pipes/%2e%2e%2fmigrations%2f0001_items", 404, "no_such_pipe"),
        ("GET", "/pipes/a/b", 404, "no_such_pipe"),
        ("GET", "/pipes/trending.xml", 404, "no_such_pipe"),
        ("GET", "/pipes/trending.csv.gz", 404, "no_such_pipe"),
        ("GET", "/pipes/", 404, "not_found"),
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/static/../factory.py", 404, "not_found"),
        ("DELETE", "/pipes/trending", 405, "method_not_allowed"),
        ("PUT", "/events", 405, "method_not_allowed"),
        ("GET", "/events", 405, "method_not_allowed"),
        ("GET", "/pipes/also_bought", 400, "bad_parameters"),
        ("GET", "/pipes/trending?limit=0", 400, "bad_parameters"),
        ("GET", "/pipes/trending?limit=70000", 400, "bad_parameters"),
        ("GET", "/pipes/trending?limit=", 400, "bad_parameters"),
        ("GET", "/pipes/trending?limit=1&limit=2", 400, "bad_parameters"),
        ("GET", "/pipes/trending?limti=3", 400, "bad_parameters"),
        ("GET", "/pipes/also_bought?item_id=a%00b", 400, "bad_parameters"),
    ],
)
def test_every_error_has_the_same_shape(client: FlaskClient, method: str, path: str, status: int, code: str) -> None:
    got = client.open(path, method=method, headers={"X-Request-Id": "r1"})
    body = json.loads(got.text)
    assert got.status_code == status
    assert got.mimetype == "application/json"
    assert list(body) == ["error", "request_id"]
    assert list(body["error"]) == ["code", "message", "hint", "details"]
    assert body["error"]["code"] == code
    assert body["error"]["message"]
    assert body["request_id"] == got.headers["X-Request-Id"] == "r1"


@pytest.mark.parametrize(
    ("method", "path", "works"),
    [
        ("GET", "/events", "POST"),
        ("GET", "/items", "POST"),
        ("POST", "/pipes", "GET"),
        ("PUT", "/pipes/trending", "GET or POST"),
    ],
)
def test_a_405_lists_the_allowed_methods(client: FlaskClient, method: str, path: str, works: str) -> None:
    got = client.open(path, method=method)
    assert got.status_code == 405
    assert json.loads(got.text)["error"]["hint"] == f"Use {works}"
    assert set(works.split(" or ")) <= set(got.headers["Allow"].split(", "))


@pytest.mark.parametrize(("value", "shown"), [(True, "true is"), (None, "null is"), ([True, "a"], '[true,"a"] is')])
def test_an_error_shows_the_value_as_json(client: FlaskClient, value: object, shown: str) -> None:
    (detail,) = json.loads(client.post("/pipes/also_bought", json={"item_id": [value]}).text)["error"]["details"]
    assert detail["problem"].startswith(shown)


def test_all_invalid_parameters_are_reported_at_once(client: FlaskClient) -> None:
    error = json.loads(client.get("/pipes/also_bought?limit=x&categroy=Tea").text)["error"]
    assert {detail["param"] for detail in error["details"]} == {"item_id", "limit", "categroy"}
    assert "did you mean category?" in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"1",
        b"nonsense",
        b"\xff",
        b'{"limit": 1e400}',
        b'{"a":' * 50_000,
        b'{"limit": %s}' % (b"9" * 5_000),
    ],
)
def test_a_body_that_is_not_an_object_is_400(client: FlaskClient, body: bytes) -> None:
    got = client.post("/pipes/trending", data=body)
    assert (got.status_code, json.loads(got.text)["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "limit", [True, 1.5, "1.5", "ten", [1, 2], [[1]], {"a": 1}, -1, 2**64, 10**400, "9" * 5_000, "１"]
)
def test_a_value_of_another_type_is_reported_with_its_name(client: FlaskClient, limit: object) -> None:
    got = client.post("/pipes/trending", json={"limit": limit})
    error = json.loads(got.text)["error"]
    assert (got.status_code, error["code"]) in [(400, "bad_parameters"), (400, "bad_request")]
    assert error["code"] == "bad_request" or [detail["param"] for detail in error["details"]] == ["limit"]
    assert len(got.data) < 1_000


def test_a_broken_pipe_is_503_and_the_others_answer(types: FlaskClient, home: Path) -> None:
    (home / "pipes" / "broken.sql").write_text("-- Nothing.\nselect 1 from nowhere order by 1 limit 1\n")
    got = types.get("/pipes/broken")
    assert (got.status_code, json.loads(got.text)["error"]["code"]) == (503, "pipe_broken")
    assert "nowhere" not in got.text
    assert body_of(types, "/pipes/types")["rows"] == 1
