"""Hostile values in every parameter of every pipe: treated as text, or rejected with 400."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from urllib.parse import quote

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from alsobought.pipes.library import Pipe
from alsobought.pipes.parameters import Parameter
from alsobought.service.service import Service
from alsobought.web.factory import create_app
from tests.support.web import AWKWARD, buy

TEXTS = [
    "'",
    '"',
    "`",
    "\\",
    "\\'",
    "'; drop table events; --",
    "') or 1=1 --",
    "{item_id:String}",
    "{{ 7*7 }}",
    "%s %(x)s %",
    "a\0b",
    "\ufeff",
    "\u202e\u0000",
    "🍵" * 300,
    "é́" * 3,
    "\r\n\t\x0b\x1f\x7f",
    AWKWARD,
    "",
    " ",
    "-1",
    "NaN",
    "Infinity",
    "-inf",
    "1e999",
    "0x10",
    "１",
    "true",
    "null",
    "None",
    "[]",
    "9" * 400,
    "x" * 1_000_000,
]
VALUES = [
    AWKWARD,
    "a\0b",
    "x" * 1_000_000,
    -1,
    0,
    -0.0,
    1.5,
    2**63,
    2**64,
    10**400,
    1e308,
    True,
    None,
    [],
    [[]],
    [["tea"]],
    [[[["tea"]]]],
    [None],
    [True, 1, "x"],
    {},
    {"a": {"b": [1]}},
    [{"$ne": 1}],
    ["tea"] * 1001,
]
NOT_JSON = [
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xed\xa0\x80"',
    b'"\xff"',
    b'"\x01"',
]
GOOD = {"item_id": "tea", "user_id": "u", "limit": 1}


@pytest.fixture(scope="module")
def shop(make_shared_shop: Callable[..., Service]) -> Service:
    shop = make_shared_shop()
    buy(create_app(shop).test_client(), "o1", "tea", "mug")
    return shop


@pytest.fixture(scope="module")
def client(shop: Service) -> FlaskClient:
    return create_app(shop).test_client()


@pytest.fixture(scope="module")
def pipes(shop: Service) -> list[Pipe]:
    return [shop.library[name] for name in shop.library.names()]


def other_required(pipe: Pipe, but: str) -> dict[str, object]:
    """Valid values for all required parameters but this one."""
    return {p.name: GOOD[p.name] for p in pipe.parameters if p.required and p.name != but}


def checked_status(got: TestResponse, name: str = "") -> int:
    """The status: 200, or 400 with the name of the parameter and without the whole of a long value."""
    assert got.status_code in (200, 400), got.text[:500]
    body = json.loads(got.text)
    if got.status_code == 400:
        assert body["error"]["code"] in ("bad_parameters", "bad_request")
        reported = [detail["param"] for detail in body["error"]["details"]]
        assert body["error"]["hint"] or (name in reported if name else reported)
        assert len(got.data) < 2_000
        for inside in ("Traceback", "DB::", "chdb", ".py"):
            assert inside not in got.text
    return got.status_code


def fields(pipes: list[Pipe], every: bool) -> list[tuple[Pipe, Parameter]]:
    """Every parameter of every pipe, or one of each declaration."""
    declared = [(pipe, parameter) for pipe in pipes for parameter in pipe.parameters]
    distinct = {(p.name, p.type, p.required): (pipe, p) for pipe, p in reversed(declared)}
    return declared if every else list(distinct.values())


every = pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.thorough)])


@pytest.mark.thorough
@pytest.mark.journey
@every
def test_every_parameter_in_the_query(client: FlaskClient, pipes: list[Pipe], every: bool) -> None:
    seen: set[int] = set()
    for pipe, parameter in fields(pipes, every):
        for text in TEXTS:
            got = client.get(
                f"/pipes/{pipe.name}", query_string={**other_required(pipe, parameter.name), parameter.name: text}
            )
            seen.add(checked_status(got, parameter.name))
    assert seen == {200, 400}


@every
def test_every_parameter_in_a_body(client: FlaskClient, pipes: list[Pipe], every: bool) -> None:
    seen: set[int] = set()
    for pipe, parameter in fields(pipes, every):
        for value in VALUES:
            got = client.post(
                f"/pipes/{pipe.name}", data=json.dumps({**other_required(pipe, parameter.name), parameter.name: value})
            )
            seen.add(checked_status(got, parameter.name))
    assert seen == {200, 400}


@every
def test_invalid_json_and_duplicate_parameters(client: FlaskClient, pipes: list[Pipe], every: bool) -> None:
    for pipe, parameter in fields(pipes, every):
        name = json.dumps(parameter.name).encode()
        for value in NOT_JSON:
            got = client.post(f"/pipes/{pipe.name}", data=b"{" + name + b": " + value + b"}")
            assert checked_status(got) == 400
        twice = b"{" + name + b': "1", ' + name + b': "1"}'
        assert checked_status(client.post(f"/pipes/{pipe.name}", data=twice)) == 400
        if not parameter.repeated:
            good = quote(str(GOOD.get(parameter.name, "tea")))
            got = client.get(f"/pipes/{pipe.name}?{parameter.name}={good}&{parameter.name}={good}")
            assert checked_status(got, parameter.name) == 400


@pytest.mark.parametrize(
    "query", ["item_id=%ff", "item_id=%ed%a0%80", "item_id=%", "item_id=%zz", "item_id", "=x", "&&&", "%00=1"]
)
def test_a_query_that_is_not_text(client: FlaskClient, query: str) -> None:
    checked_status(client.get(f"/pipes/also_bought?{query}"))


@pytest.mark.parametrize(
    "name", ["%00", "%ff", "..", "a" * 5_000, "🍵", "'", "also_bought%00", "also_bought.%00", "also_bought.json.csv"]
)
def test_an_invalid_pipe_name(client: FlaskClient, name: str) -> None:
    got = client.get(f"/pipes/{name}?item_id=tea")
    assert (got.status_code, len(got.data) < 12_000) == (404, True), got.text[:300]


def test_hostile_requests_change_no_data(shop: Service) -> None:
    assert shop.warehouse.value(f"select count() from {shop.warehouse.database}.events") == 2


def test_a_body_with_very_many_names_is_rejected_quickly(client: FlaskClient) -> None:
    names = ",".join(f'"a{number}":1' for number in range(200_000))
    started = time.monotonic()
    got = client.post("/pipes/trending", data=f'{{{names},"z":1,"z":1}}')
    assert (got.status_code, time.monotonic() - started < 5) == (400, True)
