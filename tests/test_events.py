"""Decoding of events and items: splitting a body, validation, and the messages of rejections."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from alsobought.errors import BadRequest, TooLarge
from alsobought.events import (
    FIRST_TIME,
    STANDARD_TYPES,
    Event,
    Rules,
    event_problem,
    read_events,
    split_objects,
)
from alsobought.items import read_items

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RULES = Rules(NOW)
VIEW = {"event_type": "view", "user_id": "u", "item_id": "tea"}
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
quick = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
OBJECTS = st.lists(st.dictionaries(st.text(), JSON), max_size=3)


def decoded(body: bytes) -> list[Any]:
    return [msgspec.json.decode(one) for one in split_objects(body)]


# Bodies


@quick
@given(OBJECTS, st.sampled_from([None, 2]))
def test_an_array_is_split_into_its_objects_however_it_is_formatted(objects: list[Any], indent: int | None) -> None:
    assert decoded(json.dumps(objects, indent=indent).encode()) == objects


@quick
@given(OBJECTS, st.sampled_from([b"\n", b"\r\n", b"\n\n \n"]), st.booleans())
def test_lines_are_split_into_their_objects(objects: list[Any], between: bytes, ascii_only: bool) -> None:
    body = between.join(json.dumps(one, ensure_ascii=ascii_only).encode() for one in objects)
    assert decoded(body + between) == objects


@quick
@given(st.dictionaries(st.text(), JSON), st.sampled_from([None, 1, 4]))
def test_one_object_may_be_spread_over_lines(one: dict[str, Any], indent: int | None) -> None:
    assert decoded(b"\n " + json.dumps(one, indent=indent).encode() + b"\n") == [one]


@quick
@given(st.binary(max_size=50))
def test_any_bytes_are_split_or_rejected_as_a_bad_request(body: bytes) -> None:
    try:
        objects = list(split_objects(body))
    except BadRequest:
        assert body.strip().startswith(b"[")
        return
    valid, rejected = read_events(objects, RULES)
    assert len(valid) + len(rejected) == len(objects)


@pytest.mark.parametrize("body", [b"", b" ", b"\n\r\n\t", b"[]", b" [ ] "])
def test_an_empty_body_has_no_objects(body: bytes) -> None:
    assert list(split_objects(body)) == []


@pytest.mark.parametrize("body", [b"[", b"[1,]", b"[{]", b"[1] [2]", b"[" * 100_000])
def test_a_broken_array_is_a_bad_request_with_a_hint(body: bytes) -> None:
    with pytest.raises(BadRequest, match="Send one object, an array, or one per line"):
        list(split_objects(body))


def test_two_indented_objects_are_not_one() -> None:
    two = (json.dumps(VIEW, indent=1) + "\n" + json.dumps(VIEW, indent=1)).encode()
    valid, rejected = read_events(split_objects(two), RULES)
    assert (len(valid), rejected[0].index) == (0, 0)


# Events


def read(*objects: dict[str, Any]) -> tuple[list[Event], list[tuple[int, str]]]:
    valid, rejected = read_events([json.dumps(one).encode() for one in objects], RULES)
    return valid, [(rejection.index, rejection.problem) for rejection in rejected]


def test_an_event_with_all_fields_is_read_unchanged() -> None:
    event = VIEW | {
        "event_id": "e",
        "session_id": "s",
        "category": "c",
        "order_id": "o",
        "order_size": 3,
        "quantity": 2,
        "price": 1.5,
        "timestamp": "2025-06-01T10:00:00+02:00",
        "properties": {"a": [1, {"b": None}]},
        "recommendation_id": "r",
        "position": 4,
    }
    (read_event,), rejected = read(event)
    assert rejected == []
    assert msgspec.to_builtins(read_event) == event
    assert set(event) == set(Event.__struct_fields__), "add new fields here"


@pytest.mark.parametrize("event_type", STANDARD_TYPES)
def test_the_standard_event_types_are_accepted(event_type: str) -> None:
    assert read(VIEW | {"event_type": event_type})[1] == []


def test_extra_event_types_are_accepted_by_the_rules() -> None:
    raw = [json.dumps(VIEW | {"event_type": "rent"}).encode()]
    assert read_events(raw, Rules(NOW, frozenset({"rent"})))[1] == []
    assert "'rent' is not one of add_to_cart, " in read_events(raw, RULES)[1][0].problem


@quick
@given(st.lists(st.booleans(), max_size=20))
def test_every_object_is_either_read_or_rejected_with_its_index(validity: list[bool]) -> None:
    valid, rejected = read(
        *(VIEW | {"item_id": f"i{index}" if is_valid else ""} for index, is_valid in enumerate(validity))
    )
    assert [event.item_id for event in valid] == [f"i{index}" for index, is_valid in enumerate(validity) if is_valid]
    assert [index for index, _ in rejected] == [index for index, is_valid in enumerate(validity) if not is_valid]


@pytest.mark.parametrize("name", ["event_type", "item_id"])
def test_a_missing_required_field_is_named(name: str) -> None:
    assert read({key: value for key, value in VIEW.items() if key != name})[1] == [(0, f"{name}: missing")]


@pytest.mark.parametrize("name", ["event_id", "user_id", "session_id", "item_id", "category", "order_id"])
def test_identifiers_have_a_maximum_length_and_no_nul(name: str) -> None:
    assert read(VIEW | {name: "é" * 256})[1] == []
    assert read(VIEW | {name: "é" * 257})[1] == [(0, f"{name}: expected `str` of length <= 256")]
    assert read(VIEW | {name: "a\0b"})[1] == [(0, f"{name}: holds a NUL character")]


def test_a_timestamp_may_be_a_day_ahead_but_not_more() -> None:
    def at(timestamp: datetime) -> str:
        return event_problem(Event(event_type="view", user_id="u", item_id="tea", timestamp=timestamp), RULES)

    assert at(datetime(2026, 1, 2, 12, tzinfo=UTC)) == ""
    assert at(datetime(2026, 1, 2, 12)) == "", "a time without a zone is UTC"
    assert "is more than a day ahead of 2026-01-01T12:00:00Z" in at(datetime(2026, 1, 2, 12, 0, 0, 1000, tzinfo=UTC))
    assert at(FIRST_TIME) == ""
    assert "is before 1971" in at(datetime(1970, 12, 31, 23, 59, 59, tzinfo=UTC))


@pytest.mark.parametrize(
    "timestamp", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-02-30T00:00:00Z"]
)
def test_extreme_timestamps_are_rejected_with_a_message(timestamp: str) -> None:
    ((index, problem),) = read(VIEW | {"timestamp": timestamp})[1]
    assert (index, problem.partition(":")[0]) == (0, "timestamp")


def test_an_event_may_be_as_large_as_the_rules_allow() -> None:
    raw = json.dumps(VIEW).encode()
    assert read_events([raw], Rules(NOW, max_bytes=len(raw)))[1] == []
    (rejection,) = read_events([raw], Rules(NOW, max_bytes=len(raw) - 1))[1]
    assert rejection.problem == f"{len(raw)} bytes; at most {len(raw) - 1} are accepted"


def test_excessive_nesting_is_rejected() -> None:
    deep = json.dumps(VIEW)[:-1] + ', "properties": ' + '{"a":' * 9_000 + "1" + "}" * 9_001
    assert read_events([deep.encode()], RULES)[1][0].problem.startswith("not JSON: ")


# Items


def test_items_require_only_an_id() -> None:
    valid, rejected = read_items([b'{"item_id": "tea"}', b"{}", b'{"item_id": "a\\u0000"}', b'{"item_id": ""}'], 1_000)
    assert [item.item_id for item in valid] == ["tea"]
    assert (valid[0].available, valid[0].attributes, valid[0].price) == (UNSET, UNSET, UNSET)
    assert [(rejection.index, rejection.problem) for rejection in rejected] == [
        (1, "item_id: missing"),
        (2, "item_id: holds a NUL character"),
        (3, "item_id: expected `str` of length >= 1"),
    ]


def test_an_embedding_must_have_a_direction_and_the_length_of_those_before_it() -> None:
    objects = [
        b'{"item_id": "a", "embedding": [0.5, -1]}',
        b'{"item_id": "b", "embedding": [1, 2, 3]}',
        b'{"item_id": "c", "embedding": [0, 0]}',
        b'{"item_id": "d", "embedding": [1, "2"]}',
        b'{"item_id": "e", "embedding": [1e300, 2]}',
        b'{"item_id": "f", "embedding": []}',
        b'{"item_id": "g"}',
        b'{"item_id": "h", "embedding": [' + b"1," * 4096 + b"1]}",
    ]
    valid, rejected = read_items(objects, 65_536)
    assert [(item.item_id, item.embedding) for item in valid] == [("a", [0.5, -1]), ("f", []), ("g", UNSET)]
    assert [(rejection.index, rejection.problem) for rejection in rejected] == [
        (1, "embedding: 3 numbers, and the items before it have 2"),
        (2, "embedding: its numbers are all 0, so that it points nowhere; leave it out"),
        (3, "embedding[1]: expected `float`, got `str`"),
        (4, "embedding[0]: expected `float` <= 1000000000.0"),
        (7, "embedding: expected `array` of length <= 4096"),
    ]


# Many objects


@pytest.mark.parametrize(
    "body",
    [
        b"{}\n" * 50_001,
        b"\n\n{}\n \n" * 50_001,
        b"[" + b"{}," * 50_000 + b"{}]",
        b"[" + b"1," * 8_000_000 + b"1]",
        b"[" + b'{"a": [1, 2, "]\\"["], "b": {"c": 1}, "d": ","},' * 130_000 + b"{}]",
    ],
    ids=["lines", "lines among empty ones", "elements", "numbers", "elements with commas"],
)
def test_a_body_of_too_many_objects_is_refused(body: bytes) -> None:
    with pytest.raises(TooLarge, match="more than 50,000 objects"):
        list(split_objects(body))


@pytest.mark.parametrize(
    ("body", "objects"),
    [
        (b"{}\n" * 50_000, 50_000),
        (b"\n" * 60_000 + b"{}", 1),
        (b"[" + b"{}," * 49_999 + b"{}]", 50_000),
        (b'[{"list": [' + b"1," * 600_000 + b'1]}, {"text": "' + b"]," * 60_000 + b'"}]', 2),
    ],
)
def test_as_many_objects_as_a_batch_takes_are_read(body: bytes, objects: int) -> None:
    assert sum(1 for _ in split_objects(body)) == objects
