"""Objects of any format among events: recognized by their shape, all of their calls or none."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from alsobought.errors import BadRequest
from alsobought.events import Rejected, Rules
from alsobought.formats import ga4, segment, snowplow
from alsobought.formats.reading import FORMATS, format_of, read_any, read_body, read_objects

RULES = Rules(datetime(2026, 1, 2, tzinfo=UTC), max_bytes=200)
VIEW = {"event_type": "view", "user_id": "ada", "item_id": "tea"}
TRACK = {"type": "track", "event": "Product Viewed", "userId": "ada", "properties": {"product_id": "tea"}}
PAGE = {"type": "page", "userId": "ada"}
IDENTIFY = {"type": "identify", "userId": "ada", "anonymousId": "device-7"}
GA4 = {"client_id": "1.2", "events": [{"name": "view_item", "params": {"items": [{"item_id": "tea"}]}}]}
SNOWPLOW = {"event_name": "page_view", "collector_tstamp": "2026-01-01T12:00:00Z", "domain_userid": "d"}


def encoded(*objects: Any) -> list[bytes]:
    return [raw if isinstance(raw, bytes) else msgspec.json.encode(raw) for raw in objects]


@pytest.mark.parametrize(
    ("value", "name"),
    [(TRACK, "segment"), ({"batch": []}, "segment"), (GA4, "ga4"), (SNOWPLOW, "snowplow"), (VIEW, None), ([], None)],
)
def test_a_format_is_recognized_by_its_shape(value: Any, name: str | None) -> None:
    of = format_of(value)
    assert (of and of.name) == name


def test_no_body_is_of_two_formats() -> None:
    modules = (segment, ga4, snowplow)
    bodies: list[dict[str, Any]] = [TRACK, PAGE, IDENTIFY, {"batch": []}, GA4, SNOWPLOW]
    for body in bodies:
        assert sum(module.recognizes(body) for module in modules) == 1


def test_objects_of_all_formats_keep_their_order_among_events() -> None:
    results = list(read_objects(encoded(VIEW, TRACK, GA4, PAGE, SNOWPLOW, VIEW | {"item_id": "pot"}, b"tea"), RULES))
    assert [result if isinstance(result, str) else [e.item_id for e in result.events] for result in results] == [
        ["tea"],
        ["tea"],
        ["tea"],
        [],
        [],
        ["pot"],
        "not JSON: Input data was truncated",
    ]


def test_of_an_object_with_several_calls_all_or_none_count() -> None:
    faulty = {**TRACK, "properties": {}}
    good, bad = read_objects(encoded({"batch": [TRACK, PAGE, IDENTIFY]}, {"batch": [TRACK, faulty]}), RULES)
    assert not isinstance(good, str)
    assert (len(good.events), len(good.merges), len(good.skipped)) == (1, 1, 1)
    assert bad == "call 1: properties.product_id: missing"


def test_an_event_of_a_call_obeys_the_rules_for_events() -> None:
    late = TRACK | {"timestamp": "2026-06-01T00:00:00Z"}
    (result,) = read_objects(encoded(late), RULES)
    assert result == "timestamp: 2026-06-01T00:00:00Z is more than a day ahead of 2026-01-02T00:00:00Z"


def test_a_long_call_is_read_since_only_its_events_are_stored() -> None:
    padded = {**TRACK, "context": {"page": "x" * 1000}}
    track, event = read_objects(encoded(padded, VIEW | {"properties": {"note": "x" * 1000}}), RULES)
    assert not isinstance(track, str)
    assert isinstance(event, str)


def test_whoever_posts_events_may_not_merge_users() -> None:
    reading = read_any(encoded(VIEW, IDENTIFY, {**TRACK, "properties": {}}), RULES)
    assert (len(reading.events), reading.merges, [call.kind for call in reading.skipped]) == (1, [], ["identify"])
    assert reading.rejected == [Rejected(2, "properties.product_id: missing")]


@pytest.mark.parametrize(
    "body",
    [
        msgspec.json.encode([TRACK, {}, IDENTIFY, PAGE]),
        msgspec.json.encode({"batch": [TRACK, {}, IDENTIFY, PAGE]}),
        b"\n".join(encoded(TRACK, {}, IDENTIFY, PAGE)),
        b"\n".join(encoded({"batch": [TRACK, {}]}, {"batch": [IDENTIFY, PAGE]})),
    ],
)
def test_a_body_is_an_array_a_batch_or_one_call_per_line(body: bytes) -> None:
    reading = read_body(body, FORMATS["segment"], RULES)
    assert len(reading.events) == len(reading.skipped) == 1
    assert reading.rejected == [Rejected(1, "type: missing")]
    assert [index for index, _ in reading.merges] == [2]


def test_a_rejected_call_is_a_body_of_its_own_that_can_be_read_again() -> None:
    faulty = {"name": "view_item", "params": {"items": []}}
    for of, body in (
        ("segment", {"batch": [TRACK, {**TRACK, "properties": {}}]}),
        ("ga4", {**GA4, "events": [{"name": "x"}, faulty]}),
    ):
        reading = read_body(msgspec.json.encode(body), FORMATS[of], RULES)
        ((index, text),) = reading.rejected_texts().items()
        assert index == 1
        assert list(read_objects([text], RULES)) == [reading.rejected[0].problem]
    assert read_body(b"tea", FORMATS["ga4"], RULES).rejected_texts() == {0: b"tea"}


def test_a_line_that_is_not_json_is_rejected_and_an_array_that_is_not_is_an_error() -> None:
    reading = read_body(b"\n".join([*encoded(TRACK), b"tea"]), FORMATS["segment"], RULES)
    assert (len(reading.events), reading.rejected[0].index) == (1, 1)
    with pytest.raises(BadRequest, match="not JSON"):
        read_body(b"[tea", FORMATS["segment"], RULES)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("value", [None, 7, "tea", [], {}, {"type": {}}, {"events": {}}, {"batch": {}}])
def test_no_value_is_more_than_a_problem(name: str, value: Any) -> None:
    reading = read_body(msgspec.json.encode([value]), FORMATS[name], RULES)
    assert len(reading.rejected) == 1
