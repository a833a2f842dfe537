"""POST /events: valid events are stored as sent, invalid ones are rejected with index and field."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.service.service import Service
from alsobought.web.factory import create_app
from tests.support.web import AWKWARD, VIEW, emptied, error_of, rejected, stored, wrong_tables


@pytest.fixture(scope="module")
def filled(make_shared_shop: Callable[..., Service]) -> Service:
    return make_shared_shop(max_event_bytes=2_000, max_body_bytes=100_000)


@pytest.fixture
def shop(filled: Service) -> Service:
    """The shop of this module, emptied. Events of up to 2,000 bytes, bodies of up to 100,000."""
    return emptied(filled)


# Bodies


@pytest.mark.parametrize(
    ("body", "items"),
    [
        (json.dumps(VIEW), ["tea"]),
        (json.dumps(VIEW, indent=4), ["tea"]),
        (f"\r\n{json.dumps(VIEW, indent=1)}\r\n\r\n", ["tea"]),
        (json.dumps([VIEW, VIEW | {"item_id": "mug"}]), ["tea", "mug"]),
        (json.dumps([VIEW, VIEW | {"item_id": "mug"}], indent=2), ["tea", "mug"]),
        (json.dumps(VIEW) + "\n" + json.dumps(VIEW | {"item_id": "mug"}), ["tea", "mug"]),
        (json.dumps(VIEW) + "\r\n\n  " + json.dumps(VIEW | {"item_id": "mug"}) + "\n", ["tea", "mug"]),
    ],
    ids=["object", "pretty object", "object in blank lines", "array", "pretty array", "lines", "lines and blank lines"],
)
def test_an_object_an_array_and_lines_are_accepted(
    client: FlaskClient, shop: Service, body: str, items: list[str]
) -> None:
    got = client.post("/events", data=body.encode())
    accepted = json.loads(got.text)
    assert got.status_code == 202
    assert list(accepted) == ["accepted", "rejected", "rejected_total", "duplicates", "repeats", "request_id"]
    assert (accepted["accepted"], accepted["rejected"], accepted["duplicates"], accepted["repeats"]) == (
        len(items),
        [],
        0,
        0,
    )
    assert stored(shop) == items


def test_an_event_is_stored_as_it_was_sent(client: FlaskClient, shop: Service) -> None:
    event = {
        "event_id": f"e{AWKWARD}",
        "event_type": "purchase",
        "user_id": f"u{AWKWARD}",
        "session_id": f"s{AWKWARD}",
        "item_id": f"i{AWKWARD}",
        "category": f"c{AWKWARD}",
        "order_id": f"o{AWKWARD}",
        "order_size": 2**31 - 1,
        "quantity": 0,
        "price": 1e12,
        "timestamp": "2025-12-31T23:30:00.125-02:00",
        "properties": {"tab\t": [1, None, {"é": "\0"}], "big": 12345678901234567890123},
    }
    assert client.post("/events", json=event).status_code == 202
    columns = "event_id, user_id, session_id, item_id, category, order_id, order_size, quantity, price, timestamp"
    (row,) = stored(shop, f"{columns}, properties")
    assert row[:6] == [f"{letter}{AWKWARD}" for letter in "eusico"]
    assert row[6:10] == [2**31 - 1, 0, 1e12, "2026-01-01 01:30:00.125"]
    assert json.loads(row[10]) == event["properties"]


def test_missing_fields_get_their_defaults(client: FlaskClient, shop: Service) -> None:
    client.post("/events", json=VIEW)
    columns = "event_id, source, offset, seq, quantity, price, timestamp, ingested_at, category, order_id, properties"
    ((event_id, source, offset, seq, *rest),) = stored(shop, columns)
    assert event_id == f"post:{offset}"
    assert (source, offset) == ("post", seq)
    assert rest == [1, 0, "2026-01-01 12:00:00.000", "2026-01-01 12:00:00.000", "", "", ""]


def test_wait_responds_200_once_answers_contain_the_event(client: FlaskClient) -> None:
    assert client.post("/events?wait=true", json=VIEW | {"item_id": "never seen"}).status_code == 200
    assert client.post("/events?wait=1", json=VIEW).status_code == 200
    assert client.post("/events?wait=false", json=VIEW).status_code == 202
    viewed = json.loads(client.get("/pipes/recently_viewed?user_id=u").text)["data"]
    assert [row["item_id"] for row in viewed] == ["tea", "never seen"]


def test_a_wait_that_is_neither_true_nor_false_is_400_and_nothing_is_stored(client: FlaskClient, shop: Service) -> None:
    got = client.post("/events?wait=yes", json=VIEW | {"item_id": "never stored"})
    assert (got.status_code, error_of(got)["message"]) == (400, "wait: 'yes' is neither true nor false")
    assert "never stored" not in stored(shop)


def test_a_guest_is_identified_by_the_session(client: FlaskClient, shop: Service) -> None:
    guest = {"event_type": "view", "session_id": "s1", "item_id": "tea"}
    client.post("/events", json=[guest, guest | {"user_id": "u", "item_id": "mug"}])
    assert stored(shop, "user_id, session_id") == [["s1", "s1"], ["u", "s1"]]
    viewed = json.loads(client.get("/pipes/recently_viewed?user_id=s1").text)["data"]
    assert [row["item_id"] for row in viewed] == ["tea"]


def test_the_common_forms_of_iso_8601_are_accepted(client: FlaskClient, shop: Service) -> None:
    forms = {
        "2025-12-31": "2025-12-31 00:00:00.000",
        "2025-12-31 10:30": "2025-12-31 10:30:00.000",
        "2025-12-31T10:30": "2025-12-31 10:30:00.000",
        "2025-12-31T10:30+02:00": "2025-12-31 08:30:00.000",
        "2025-12-31T10:30:05.5+0200": "2025-12-31 08:30:05.500",
        "20251231T103005Z": "2025-12-31 10:30:05.000",
    }
    got = client.post("/events", json=[VIEW | {"timestamp": form} for form in forms])
    assert rejected(got) == []
    assert stored(shop, "timestamp, item_id") == [[time, "tea"] for time in forms.values()]


def test_an_event_with_another_time_format_is_validated_too(client: FlaskClient) -> None:
    got = client.post(
        "/events", json=[VIEW, VIEW | {"timestamp": "2025-12-31", "item_id": True}, VIEW | {"timestamp": "1970-01-01"}]
    )
    assert rejected(got) == [(1, "item_id: expected `str`, got `bool`"), (2, "timestamp: 1970-01-01 is before 1971")]


# Bodies from browsers and shops: null, numbers, compression


def test_null_and_empty_text_are_not_given_and_numbers_are_converted(client: FlaskClient, shop: Service) -> None:
    event = {"event_type": "purchase", "user_id": None, "session_id": 17, "item_id": 4.0, "order_id": "007"}
    empty = {"price": None, "category": None, "timestamp": None, "properties": None, "quantity": "", "order_size": None}
    assert client.post("/events?wait=true", json=event | empty).status_code == 200
    assert client.post("/events?wait=true", json=event | {"price": "19.90", "quantity": "2"}).status_code == 200
    columns = "user_id, session_id, item_id, order_id, price, quantity, timestamp = ingested_at"
    assert stored(shop, columns) == [["17", "17", "4", "007", 0, 1, True], ["17", "17", "4", "007", 19.9, 2, True]]


def test_a_fraction_of_a_quantity_is_one_piece_at_the_price_of_its_weight(client: FlaskClient, shop: Service) -> None:
    ham = VIEW | {"event_type": "purchase", "item_id": "ham", "order_id": "o", "quantity": 0.348, "price": 21.9}
    assert client.post("/events?wait=true", json=ham).status_code == 200
    assert stored(shop, "quantity, price, properties") == [[1, 7.6212, '{"quantity":0.348}']]


@pytest.mark.parametrize(
    "time",
    [1767268800, 1767268800000, 1767268800000000, "1767268800000", 1767268800.0, "Thu, 01 Jan 2026 12:00:00 GMT"],
)
def test_a_time_may_be_a_number_since_1970_or_that_of_a_header(client: FlaskClient, shop: Service, time: Any) -> None:
    assert client.post("/events?wait=true", json=VIEW | {"timestamp": time}).status_code == 200
    assert stored(shop, "toString(timestamp)") == ["2026-01-01 12:00:00.000"]


RAW = zlib.compressobj(wbits=-15)
RAW_BODY = RAW.compress(json.dumps(VIEW).encode()) + RAW.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(json.dumps(VIEW).encode())),
        ("gzip", gzip.compress(json.dumps(VIEW).encode() + b"\n") + gzip.compress(b"")),
        ("", gzip.compress(json.dumps(VIEW).encode())),
        ("deflate", zlib.compress(json.dumps(VIEW).encode())),
        ("deflate", RAW_BODY),
    ],
    ids=["gzip", "two members", "no header", "deflate", "raw deflate"],
)
def test_a_compressed_body_is_unpacked(client: FlaskClient, shop: Service, encoding: str, body: bytes) -> None:
    got = client.post("/events?wait=true", data=body, headers={"Content-Encoding": encoding} if encoding else {})
    assert got.status_code == 200
    assert stored(shop, "item_id") == ["tea"]


@pytest.mark.parametrize(
    ("encoding", "body", "status", "message"),
    [
        ("br", b"x", 415, "Content-Encoding: 'br' is not supported"),
        ("gzip", b"{}", 400, "the compressed body is broken or incomplete"),
        ("gzip", gzip.compress(b"{}")[:-9], 400, "the compressed body is broken or incomplete"),
        ("deflate", b"{}", 400, "the compressed body is broken or incomplete"),
        ("gzip", gzip.compress(b" " * 200_000), 413, "the body is larger than 100,000 bytes when it is unpacked"),
    ],
    ids=["unknown", "not gzip", "cut", "not deflate", "bomb"],
)
def test_a_body_that_cannot_be_unpacked_is_refused(
    client: FlaskClient, encoding: str, body: bytes, status: int, message: str
) -> None:
    got = client.post("/events", data=body, headers={"Content-Encoding": encoding})
    assert (got.status_code, error_of(got)["message"]) == (status, message)


# Rejects

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown type": ({"event_type": "buy"}, "event_type: 'buy' is not one of add_to_cart, click, "),
    "empty type": ({"event_type": ""}, "event_type: expected `str` of length >= 1"),
    "empty item": ({"item_id": ""}, "item_id: missing"),
    "long id": ({"user_id": "u" * 257}, "user_id: expected `str` of length <= 256"),
    "no user": ({"user_id": ""}, "user_id: missing; a guest needs a session_id instead"),
    "text wanted": ({"item_id": 7.5}, "item_id: expected `str`, got `float`"),
    "null": ({"item_id": None}, "item_id: missing"),
    "a boolean": ({"quantity": True}, "quantity: expected `int`, got `bool`"),
    "decimal comma": ({"price": "19,90"}, 'price: "19,90" is not a number; write 19.90'),
    "money": ({"price": "3 euros"}, 'price: "3 euros" is not a number; write 19.90'),
    "number wanted": ({"quantity": "two"}, 'quantity: "two" is not a number'),
    "object wanted": ({"properties": [1]}, "properties: expected `object`, got `array`"),
    "unknown field": ({"colour": "red"}, "colour: not a field of this object; put your own fields under properties"),
    "negative": ({"quantity": -1}, "quantity: expected `int` >= 0"),
    "wraps": ({"order_size": 2**40}, "order_size: expected `int` <= 2147483647"),
    "wraps far": ({"order_size": 10**400}, "order_size: expected `int` <= 2147483647"),
    "negative price": ({"price": -0.01}, "price: expected `float` >= 0.0"),
    "huge price": ({"price": 1e13}, "price: expected `float` <= 1000000000000.0"),
    "no time": ({"timestamp": "yesterday"}, 'timestamp: "yesterday" is not a time like 2026-01-31T12:00:00Z'),
    "a day": (
        {"timestamp": 20260131},
        "timestamp: 20260131 is not a time: write 2026-01-31T12:00:00Z, or the seconds, milliseconds or microseconds since 1970",
    ),
    "too old": ({"timestamp": "1970-12-31T23:59:59Z"}, "timestamp: 1970-12-31 is before 1971"),
    "too far ahead": (
        {"timestamp": "2026-01-02T12:00:01Z"},
        "timestamp: 2026-01-02T12:00:01Z is more than a day ahead",
    ),
    "ahead by its zone": ({"timestamp": "2026-01-02T12:00:00-01:00"}, "timestamp: "),
    "NUL": ({"user_id": "a\0b"}, "user_id: holds a NUL character"),
    "NUL in an order": ({"order_id": "\0"}, "order_id: holds a NUL character"),
    "too large": ({"properties": {"text": "x" * 2_000}}, "2,084 bytes; at most 2,000 are accepted"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_invalid_event_is_listed_by_index_and_field_and_the_others_are_stored(
    client: FlaskClient, shop: Service, fault: str
) -> None:
    change, problem = FAULTS[fault]
    got = client.post("/events", json=[VIEW, VIEW | change, VIEW | {"item_id": "mug"}])
    assert got.status_code == 202
    assert json.loads(got.text)["accepted"] == 2
    ((index, reported),) = rejected(got)
    assert index == 1
    assert reported.startswith(problem)
    assert stored(shop) == ["tea", "mug"]


@pytest.mark.parametrize("raw", ['{"price": NaN}', '{"price": Infinity}', '{"price": 1e400}', '{"item_id": "\\ud800"}'])
def test_values_that_json_lacks_are_rejected_and_the_others_are_stored(
    client: FlaskClient, shop: Service, raw: str
) -> None:
    bad = json.dumps(VIEW)[:-1] + ", " + raw[1:]
    got = client.post("/events", data=f"{json.dumps(VIEW)}\n{bad}\n{json.dumps(VIEW)}")
    assert [index for index, _ in rejected(got)] == [1]
    assert stored(shop) == ["tea", "tea"]


def test_the_limits_of_every_range_are_accepted(client: FlaskClient, shop: Service) -> None:
    edges: list[dict[str, Any]] = [
        {"quantity": 0, "price": 0, "order_size": 0},
        {"quantity": 2**31 - 1, "price": 1e12},
        {"timestamp": "1971-01-01T00:00:00Z"},
        {"timestamp": "2026-01-02T12:00:00Z"},
        {"timestamp": "2026-01-02T12:00:00"},
        {"user_id": "é" * 256},
        {"properties": {}},
    ]
    got = client.post("/events", json=[VIEW | edge for edge in edges])
    assert (json.loads(got.text)["accepted"], rejected(got)) == (len(edges), [])
    assert stored(shop, "timestamp, quantity")[2:4] == [["1971-01-01 00:00:00.000", 1], ["2026-01-02 12:00:00.000", 1]]
    assert wrong_tables(shop) == {}


def test_every_invalid_object_is_listed_with_its_index(client: FlaskClient, shop: Service) -> None:
    lines = [
        json.dumps(VIEW),
        "nonsense",
        json.dumps(VIEW),
        "{",
        '"text"',
        json.dumps(VIEW),
        "[]",
        b"\xff".decode("latin1"),
    ]
    got = client.post("/events", data="\n".join(lines).encode("latin1"))
    assert got.status_code == 202
    assert [index for index, _ in rejected(got)] == [1, 3, 4, 6, 7]
    assert len(stored(shop)) == 3


def test_without_a_valid_event_it_is_400_with_every_reason(client: FlaskClient, shop: Service) -> None:
    got = client.post("/events", json=[{}, VIEW | {"quantity": -1}])
    error = error_of(got)
    assert (got.status_code, error["code"]) == (400, "bad_events")
    assert error["details"] == [
        {"param": "[0]", "problem": "event_type: missing"},
        {"param": "[1]", "problem": "quantity: expected `int` >= 0"},
    ]
    assert stored(shop) == []


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "bad_request", "the body is empty"),
        (b" \n\t\r\n", "bad_request", "the body is empty"),
        (b"[]", "bad_request", "the body is empty"),
        (b"[1,", "bad_request", "the body is not JSON"),
        (b"[" * 50_000, "bad_request", "the body is not JSON"),
        (b"hello", "bad_events", "no event could be accepted: not JSON"),
        (b"\xff\xfe", "bad_events", "no event could be accepted: not JSON"),
        (b"null", "bad_events", "no event could be accepted: expected `object`"),
        (b"{}", "bad_events", "no event could be accepted: event_type: missing"),
        (b'{"event_type": "view",\n"item_id": "tea"', "bad_events", "no event of 2 could be accepted: not JSON"),
    ],
)
def test_a_body_without_an_event_is_400(client: FlaskClient, body: bytes, code: str, message: str) -> None:
    got = client.post("/events", data=body)
    assert (got.status_code, error_of(got)["code"]) == (400, code)
    assert error_of(got)["message"].startswith(message)


def test_only_the_deeply_nested_event_is_rejected(make_shop: Callable[..., Service]) -> None:
    shop = make_shop()
    deep = json.dumps(VIEW)[:-1] + ', "properties": ' + '{"a":' * 9_000 + "1" + "}" * 9_001
    got = create_app(shop).test_client().post("/events", data=f"{json.dumps(VIEW)}\n{deep}")
    assert [index for index, _ in rejected(got)] == [1]
    assert stored(shop) == ["tea"]


def test_a_body_beyond_the_limit_is_413_and_nothing_of_it_is_stored(client: FlaskClient, shop: Service) -> None:
    for path in ("/events", "/items", "/pipes/trending"):
        got = client.post(path, data=json.dumps(VIEW).encode() + b" " * 100_000)
        assert (got.status_code, error_of(got)["code"]) == (413, "too_large")
        assert "100,000 bytes" in error_of(got)["message"]
    assert stored(shop) == []


def test_more_event_types_come_from_a_setting(make_shop: Callable[..., Service]) -> None:
    client = create_app(make_shop(event_types="rent, give_back")).test_client()
    assert client.post("/events", json=VIEW | {"event_type": "give_back"}).status_code == 202
    assert client.post("/events", json=VIEW | {"event_type": "giveback"}).status_code == 400


def test_a_hundred_rejected_events_are_listed_and_all_are_counted(client: FlaskClient) -> None:
    got = client.post("/events", data="{}\n" * 300 + json.dumps(VIEW))
    body = json.loads(got.text)
    assert (got.status_code, body["accepted"], body["rejected_total"]) == (202, 1, 300)
    assert [row["index"] for row in body["rejected"]] == list(range(100))

    error = error_of(client.post("/events", data="{}\n" * 300))
    assert error["message"].startswith("no event of 300 could be accepted")
    assert len(error["details"]) == 100


def test_a_page_of_another_origin_cannot_post(make_shop: Callable[..., Service]) -> None:
    """Unless it is listed. Programs send no Origin."""
    client = create_app(make_shop(cors="https://shop.example")).test_client()
    merge = '{"guest_id": "g", "user_id": "u"}'
    for origin, status in (("https://evil.example", 403), ("null", 403), ("https://shop.example", 200), ("", 200)):
        headers = {"Origin": origin, "Content-Type": "text/plain"} if origin else {}
        assert client.post("/users/merge", data=merge, headers=headers).status_code == status
        assert client.post("/events?wait=true", json=VIEW, headers=headers).status_code == status
        assert client.post("/items?wait=true", json={"item_id": "tea"}, headers=headers).status_code == status
