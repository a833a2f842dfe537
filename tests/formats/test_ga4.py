"""Bodies of GA4's Measurement Protocol: events, what is skipped, and problems in the names of their own fields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from alsobought.events import STANDARD_TYPES, Event, Rules
from alsobought.formats.calls import Skipped
from alsobought.formats.ga4 import ACTIONS, recognizes
from alsobought.formats.reading import FORMATS, Reading, read_body

RULES = Rules(datetime(2026, 1, 2, tzinfo=UTC))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MICROS = 1_767_268_800_000_000  # noon
TEA = {"item_id": "tea", "item_name": "Tea", "price": 3.5, "quantity": 2, "item_category": "Kitchen"}


def read(*events: Any, **fields: Any) -> Reading:
    body = {"client_id": "12.34", "timestamp_micros": MICROS, "events": events, **fields}
    return read_body(msgspec.json.encode(body), FORMATS["ga4"], RULES)


def event(name: str, *items: Any, **params: Any) -> dict[str, Any]:
    return {"name": name, "params": {"items": items, **params}}


def test_the_fields_of_an_event() -> None:
    view = event("view_item", {**TEA, "item_category2": "Hot", "item_category3": "Tea"}, session_id="9")
    assert read(view, user_id="ada").events == [
        Event(
            event_type="view",
            item_id="tea",
            user_id="ada",
            session_id="9",
            category="Kitchen/Hot/Tea",
            quantity=2,
            price=3.5,
            timestamp=NOON,
        )
    ]


@pytest.mark.parametrize(
    ("name", "event_type"),
    [
        ("view_item", "view"),
        ("select_item", "click"),
        ("add_to_cart", "add_to_cart"),
        ("remove_from_cart", "remove_from_cart"),
        ("add_to_wishlist", "like"),
        ("view_item_list", "impression"),
        ("purchase", "purchase"),
    ],
)
def test_each_item_is_an_event(name: str, event_type: str) -> None:
    reading = read(event(name, TEA, {"item_id": 7}))
    assert [(e.event_type, e.item_id, e.session_id) for e in reading.events] == [
        (event_type, "tea", "12.34"),
        (event_type, "7", "12.34"),
    ]


def test_a_purchase_has_an_order_and_counts_once_by_its_transaction() -> None:
    bought = read(event("purchase", TEA, {"item_id": "pot"}, transaction_id="T1")).events
    assert [(e.order_id, e.order_size, e.event_id) for e in bought] == [
        ("T1", 2, "ga4:purchase:T1:0"),
        ("T1", 2, "ga4:purchase:T1:1"),
    ]
    assert [e.event_id for e in read(event("view_item", TEA, transaction_id="T1")).events] == [""]


def test_an_order_is_taken_back_whole_and_once_or_by_its_items() -> None:
    (whole,) = read(event("refund", transaction_id="T1")).events
    assert (whole.event_type, whole.item_id, whole.order_id, whole.event_id) == ("refund", "", "T1", "ga4:refund:T1")
    (part,) = read(event("refund", {"item_id": "tea", "quantity": 1}, transaction_id="T1")).events
    assert (part.item_id, part.order_id, part.quantity, part.event_id) == ("tea", "T1", 1, "")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"user_id": "ada"}, ("ada", "12.34")),
        ({"user_id": 17, "client_id": None}, ("17", "")),
        ({"user_id": ""}, ("", "12.34")),
        ({"client_id": None, "app_instance_id": "app-1"}, ("", "app-1")),
    ],
)
def test_a_guest_is_known_by_the_client(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    (view,) = read(event("view_item", TEA), **fields).events
    assert (view.user_id, view.session_id) == expected
    (view,) = read(event("view_item", TEA, ga_session_id=5), **fields).events
    assert view.session_id == ("5" if view.user_id else expected[1])


def test_an_event_may_have_a_time_of_its_own_and_the_body_none() -> None:
    later = event("view_item", TEA) | {"timestamp_micros": str(MICROS + 1_500_000)}
    assert [e.timestamp for e in read(later, event("view_item", TEA)).events] == [
        datetime(2026, 1, 1, 12, 0, 1, 500_000, UTC),
        NOON,
    ]
    assert read(event("view_item", TEA), timestamp_micros=None).events[0].timestamp is msgspec.UNSET


def test_other_events_are_skipped_under_one_of_a_few_kinds() -> None:
    reading = read({"name": "page_view"}, {"name": "tutorial_begin"}, {"name": "view_promotion"})
    assert reading.skipped == [
        Skipped("ga4", "page_view", "page_view"),
        Skipped("ga4", "other", "tutorial_begin"),
        Skipped("ga4", "view_promotion", "view_promotion"),
    ]


@pytest.mark.parametrize(
    ("faulty", "fields", "problem"),
    [
        (event("view_item"), {}, "params.items: missing"),
        ({"name": "view_item"}, {}, "params.items: missing"),
        (event("view_item", TEA, {"item_name": "Pot"}), {}, "params.items[1].item_id: missing"),
        (event("view_item", "tea"), {}, "params.items[0]: expected `object`"),
        (event("view_item", {**TEA, "quantity": -1}), {}, "quantity: expected `int` >= 0"),
        (
            event("view_item", TEA),
            {"client_id": ""},
            "client_id: missing; a user who logged in may have a user_id instead",
        ),
        (
            event("view_item", TEA),
            {"timestamp_micros": "noon"},
            'timestamp_micros: "noon" is not in microseconds since 1970',
        ),
        (event("view_item", TEA), {"timestamp_micros": MICROS // 1000}, "timestamp: 1970-01-21 is before 1971"),
        (7, {}, "expected `object`, got `int`"),
    ],
)
def test_a_known_event_with_a_fault_has_a_problem_and_the_others_count(
    faulty: Any, fields: dict[str, Any], problem: str
) -> None:
    reading = read({"name": "page_view"}, faulty, **fields)
    assert [(rejected.index, rejected.problem) for rejected in reading.rejected] == [(1, problem)]
    assert len(reading.skipped) == 1


def test_a_body_without_events_has_a_problem() -> None:
    reading = read_body(b'{"client_id": "12.34"}\n[]', FORMATS["ga4"], RULES)
    assert [rejected.problem for rejected in reading.rejected] == ["events: missing", "expected `object`, got `array`"]


def test_a_body_is_recognized_by_its_events_and_who_did_them() -> None:
    assert recognizes({"user_id": "ada", "events": []})
    assert not recognizes({"events": [1]})
    assert not recognizes({"client_id": "12.34"})


def test_every_event_is_mapped_to_a_standard_type() -> None:
    assert {action.event_type for action in ACTIONS.values()} <= set(STANDARD_TYPES)
