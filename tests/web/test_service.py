"""Around the pipes: server errors, CORS, health and metrics, OpenAPI, the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.metadata import version
from typing import Any
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from prometheus_client.parser import text_string_to_metric_families

from alsobought.errors import TooSlow, WarehouseFault
from alsobought.logs import CarryRequestId
from alsobought.pipes.library import Pipe
from alsobought.service.service import Service
from alsobought.web.factory import create_app
from tests.support.project import ROOT
from tests.support.web import VIEW, buy, emptied, error_of

ENGINE = "Code: 60. DB::Exception: Unknown table expression identifier 'secret' in scope select 1. (UNKNOWN_TABLE)"
ORIGIN = {"Origin": "https://shop.example"}


@pytest.fixture(scope="module")
def filled(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop()


@pytest.fixture
def shop(filled: Service) -> Service:
    """The shop of this module, emptied."""
    return emptied(filled)


# Server errors


def reveals_no_internals(text: str) -> bool:
    words = r"traceback|File \"|\.py|db::|code: \d|select|exception|clickhouse|chdb|secret|unknown_table"
    return not re.search(words, text, re.IGNORECASE)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("the secret is in /app/x.py"), 500, "internal"),
        (WarehouseFault(ENGINE), 503, "warehouse_fault"),
        (TooSlow(f"stopped by a limit: {ENGINE}", "Request less data"), 504, "too_slow"),
    ],
)
def test_a_server_error_reveals_no_internals_and_is_logged(
    client: FlaskClient,
    shop: Service,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    status: int,
    code: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(caplog.handler, "filters", [CarryRequestId()])
    assert client.get("/pipes/active_users").status_code == 200
    monkeypatch.setattr(shop.warehouse, "rows", fail)
    got = client.get("/pipes/active_users?limit=7", headers={"X-Request-Id": "r1"})
    body = json.loads(got.text)
    assert got.status_code == status
    assert list(body) == ["error", "request_id"]
    assert list(body["error"]) == ["code", "message", "hint", "details"]
    assert body["error"]["code"] == code
    assert body["error"]["message"]
    assert body["request_id"] == "r1"
    assert reveals_no_internals(got.text)
    assert "secret" in caplog.text
    assert {vars(record)["request_id"] for record in caplog.records} == {"r1"}, "log records have the request_id"


def test_without_a_warehouse_the_service_is_alive_but_not_ready(
    client: FlaskClient, shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise WarehouseFault(ENGINE)

    monkeypatch.setattr(shop.warehouse, "rows", fail)
    assert client.get("/healthz").status_code == 200
    got = client.get("/readyz")
    assert got.status_code >= 500
    assert reveals_no_internals(got.text)


def test_a_query_over_its_limits_is_504(make_shop: Callable[..., Service]) -> None:
    client = create_app(make_shop(query_rows=20_000)).test_client()
    client.post("/events", json=[VIEW | {"item_id": f"i{number}"} for number in range(20_001)])
    got = client.get("/pipes/active_users")
    assert (got.status_code, error_of(got)["code"]) == (504, "too_slow")
    assert error_of(got)["hint"].startswith("Request less")
    assert reveals_no_internals(got.text)


def test_a_larger_answer_than_its_limits_is_stopped(make_shop: Callable[..., Service]) -> None:
    warehouse = make_shop(answer_rows=10_000, answer_bytes=1_000_000).warehouse
    assert len(warehouse.rows("select number from numbers(10000)").data) == 10_000
    assert warehouse.rows("select count() from (select arrayJoin(range(10001)))").data == [[10_001]]
    for larger in (
        "select number from numbers(10001)",
        "select arrayJoin(range(10001))",
        "select 1 union all select arrayJoin(range(10000))",
        "select repeat('x', 1000 + number % 2) from numbers(1000)",
        "select repeat('x', 2000) from (select arrayJoin(range(3000)))",
    ):
        with pytest.raises(TooSlow, match="Limit for result exceeded"):
            warehouse.rows(larger)


# Browsers of other origins


def test_no_other_origin_may_call_by_default(client: FlaskClient) -> None:
    for got in (client.get("/pipes", headers=ORIGIN), client.options("/events", headers=ORIGIN)):
        assert not [name for name in dict(got.headers) if name.lower().startswith("access-control")]


@pytest.fixture(scope="module")
def open_to_two(make_shared_shop: Callable[..., Service]) -> FlaskClient:
    return create_app(make_shared_shop(cors="https://shop.example, https://other.example")).test_client()


@pytest.mark.parametrize(
    ("path", "method"),
    [("/events", "POST"), ("/items", "POST"), ("/pipes/trending", "POST"), ("/pipes/trending", "GET")],
)
def test_a_listed_origin_may_send_json(open_to_two: FlaskClient, path: str, method: str) -> None:
    asks = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type, x-request-id"}
    got = open_to_two.options(path, headers=ORIGIN | asks)
    assert got.status_code == 200
    assert got.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert method in got.headers["Access-Control-Allow-Methods"]
    assert "content-type" in got.headers["Access-Control-Allow-Headers"].lower()
    assert "x-request-id" in got.headers["Access-Control-Allow-Headers"].lower()


def test_a_listed_origin_may_read_answers_and_errors(open_to_two: FlaskClient) -> None:
    for path in ("/pipes/trending", "/pipes/nothing", "/nowhere", "/pipes/also_bought"):
        got = open_to_two.get(path, headers={"Origin": "https://other.example"})
        assert got.headers["Access-Control-Allow-Origin"] == "https://other.example"
        assert "Origin" in ", ".join(got.headers.getlist("Vary"))
        assert "X-Request-Id" in got.headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://shop.example", "https://shop.example.evil", "null"])
def test_an_origin_that_is_not_listed_may_not_read(open_to_two: FlaskClient, origin: str) -> None:
    got = open_to_two.get("/pipes/trending", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in got.headers


# Health and metrics


def samples(client: FlaskClient) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    got = client.get("/metrics")
    assert got.mimetype == "text/plain"
    families = text_string_to_metric_families(got.text)
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def test_alive_and_ready(client: FlaskClient) -> None:
    assert json.loads(client.get("/healthz").text) == {"status": "alive", "version": version("alsobought")}
    client.post("/events", json=VIEW)
    ready = json.loads(client.get("/readyz").text)
    assert sum(ready.pop("pipes").values()) == len(list((ROOT / "pipes").glob("*.sql")))
    assert ready == {
        "status": "ready",
        "as_of": "2026-01-01T12:00:00.000Z",
        "waiting": 0,
        "halted": None,
        "damaged": [],
        "disk_full": False,
    }


def test_metrics_count_rows_and_requests(client: FlaskClient) -> None:
    event = VIEW | {"event_id": "e1"}
    client.post("/events", json=[event, event, VIEW, {}])
    client.post("/events", json={})
    client.post("/items", json=[{"item_id": "tea"}, {}])
    for path in ("trending", "trending.csv", "trending?limit=0", "also_bought"):
        client.get(f"/pipes/{path}")
    values = samples(client)
    assert values["alsobought_build_info", frozenset({("version", version("alsobought"))})] == 1

    def value(name: str, **labels: str) -> float:
        return values[f"alsobought_{name}", frozenset(labels.items())]

    assert value("rows_total", kind="event", outcome="stored") == 2
    assert value("rows_total", kind="event", outcome="repeat") == 1
    assert value("rows_total", kind="event", outcome="rejected") == 2
    assert value("rows_total", kind="item", outcome="stored") == 1
    assert value("rows_total", kind="item", outcome="rejected") == 1
    assert value("pipe_requests_total", pipe="trending", status="200") == 2
    assert value("pipe_requests_total", pipe="trending", status="400") == 1
    assert value("pipe_requests_total", pipe="also_bought", status="400") == 1
    assert value("pipe_seconds_count", pipe="trending") == 3
    assert value("pipe_seconds_bucket", pipe="trending", le="+Inf") == 3
    assert value("waiting_rows") == 0
    assert value("as_of_seconds") == 1767268800


def test_unknown_names_do_not_become_labels(client: FlaskClient) -> None:
    for number in range(3):
        client.get(f"/pipes/made_up_{number}")
        client.post(f"/pipes/made_up_{number}", data=b"not JSON")
        client.get(f"/pipes/made_up_{number}.csv")
        client.get(f"/pipes/made_up/{number}")
        client.get(f"/pipes/trending.made_up_{number}")
        client.get(f"/pipes/trending?made_up_{number}=1")
    assert "made_up" not in client.get("/metrics").text
    pipes = {value for _, labels in samples(client) for name, value in labels if name == "pipe"}
    assert pipes == {"", "trending"}


# OpenAPI


def pipes_of(shop: Service) -> list[Pipe]:
    names = sorted(path.stem for path in (ROOT / "pipes").glob("*.sql"))
    assert names
    return [shop.library[name] for name in names]


def test_every_pipe_and_parameter_is_in_openapi(client: FlaskClient, shop: Service) -> None:
    document = json.loads(client.get("/openapi.json").text)
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == version("alsobought")
    for pipe in pipes_of(shop):
        operation = document["paths"][f"/pipes/{pipe.name}"]["get"]
        assert operation["summary"] == pipe.header.sentence
        described = {p["name"]: p for p in operation["parameters"] if p["in"] == "query"}
        current = [name for name, parameter in described.items() if not parameter.get("deprecated")]
        cursor = [] if pipe.name == "item_embedding" else ["cursor"]
        assert current == [*(parameter.name for parameter in pipe.parameters), "fresh", *cursor]
        assert set(described) - set(current) == {deprecation.name for deprecation in pipe.header.deprecated}
        for parameter in pipe.parameters:
            assert described[parameter.name]["required"] == parameter.required
            assert described[parameter.name]["description"] == parameter.description
            assert (described[parameter.name]["schema"]["type"] == "array") == parameter.repeated
        answer = resolved(document, schema_of(document, operation, "200"))
        row = resolved(document, answer["properties"]["data"]["items"])
        assert list(row["properties"]) == [name for name, _ in pipe.columns]
        posted = document["paths"][f"/pipes/{pipe.name}"]["post"]
        assert schema_of(document, posted, "200") == schema_of(document, operation, "200")
        body = resolved(document, posted["requestBody"]["content"]["application/json"]["schema"])
        assert list(body["properties"]) == list(described)
        assert body["required"] == [name for name, p in described.items() if p["required"]]


def resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """The target of a reference in the document."""
    for name in part.get("$ref", "#").split("/")[1:]:
        document = document[name]
    return document if "$ref" in part else part


def schema_of(document: dict[str, Any], operation: dict[str, Any], status: str) -> dict[str, Any]:
    response = resolved(document, operation["responses"][status])
    schema: dict[str, Any] = response["content"]["application/json"]["schema"]
    return schema


def valid(document: dict[str, Any], schema: dict[str, Any], body: object) -> None:
    """Raises if a body does not match its schema in the document."""
    complete = schema | {"components": document["components"]}
    Draft202012Validator.check_schema(complete)
    Draft202012Validator(complete).validate(body)


def test_answers_and_errors_match_openapi(client: FlaskClient, shop: Service) -> None:
    client.post("/items", json=[{"item_id": item, "title": item, "category": "Kitchen"} for item in ("tea", "mug")])
    buy(client, "o1", "tea", "mug")
    client.post("/events", json=VIEW)
    document = json.loads(client.get("/openapi.json").text)
    some = {"item_id": "tea", "user_id": "u", "text": "tea", "query": "tea"}
    answered = 0
    for pipe in pipes_of(shop):
        operation = document["paths"][f"/pipes/{pipe.name}"]["get"]
        ask = {p.name: some[p.name] for p in pipe.parameters if p.required}
        for parameters in (ask, dict.fromkeys(ask, "unknown")):
            got = client.get(f"/pipes/{pipe.name}", query_string=parameters)
            body = json.loads(got.text)
            valid(document, schema_of(document, operation, "200"), body)
            answered += bool(body["rows"])
        got = client.get(f"/pipes/{pipe.name}?nonsense=1")
        valid(document, schema_of(document, operation, "400"), json.loads(got.text))
    assert answered > len(pipes_of(shop)), "empty lists would prove nothing"
    post = document["paths"]["/events"]["post"]
    valid(document, schema_of(document, post, "202"), json.loads(client.post("/events", json=[VIEW, {}]).text))
    valid(document, schema_of(document, post, "400"), json.loads(client.post("/events", json={}).text))
    valid(
        document, schema_of(document, document["paths"]["/pipes"]["get"], "200"), json.loads(client.get("/pipes").text)
    )


# The page


class References(HTMLParser):
    """The references of a page, and its inline scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        address = attributes.get("src") or attributes.get("href")
        if address and not address.startswith(("data:", "#")):
            self.addresses.append(address)
        self.inline += [f"<{tag} {name}>" for name in attributes if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and not attributes.get("src")):
            self.inline.append(f"<{tag}>")


def test_the_page_loads_nothing_from_other_hosts(client: FlaskClient) -> None:
    got = client.get("/")
    assert (got.status_code, got.mimetype) == (200, "text/html")
    assert got.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'")
    assert "unsafe" not in got.headers["Content-Security-Policy"]
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    page = References(got.text)
    assert page.inline == [], "the Content-Security-Policy forbids them"
    waiting = [urljoin("/", address) for address in page.addresses]
    seen: set[str] = set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        loaded = client.get(path)
        assert loaded.status_code == 200, path
        if loaded.mimetype == "text/html":
            linked = References(loaded.text)
            assert linked.inline == []
            waiting += [urljoin(path, address) for address in linked.addresses]
        elif path.endswith(".js"):
            assert loaded.mimetype == "text/javascript"
            imports = re.findall(r"""(?:from|import)\s*\(?\s*["']([^"']+)["']""", loaded.text)
            waiting += [urljoin(path, address) for address in imports]
        elif path.endswith(".css"):
            addresses = re.findall(r"url\([\"']?(?!data:)([^)\"']+)", loaded.text)
            waiting += [urljoin(path, address) for address in addresses]
        loaded.close()
    assert len([path for path in seen if path.endswith(".js")]) > 5
    assert {f"/static/{path.name}" for path in (ROOT / "app/alsobought/web/static").iterdir()} - seen == {
        "/static/index.html"
    }
    got.close()
