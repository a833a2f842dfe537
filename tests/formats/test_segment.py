"""Calls of Segment and RudderStack: events, merges, what is skipped, and problems in the names of their own fields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from alsobought.events import STANDARD_TYPES, Event, Rules
from alsobought.formats.calls import Identified, Merge, Skipped
from alsobought.formats.reading import FORMATS, read_body
from alsobought.formats.segment import ACTIONS, read, recognizes

RULES = Rules(datetime(2026, 1, 2, tzinfo=UTC))
CALL = {
    "type": "track",
    "messageId": "ajs-1",
    "userId": "ada",
    "anonymousId": "device-7",
    "timestamp": "2026-01-01T12:00:00.000Z",
    "context": {"ip": "10.0.0.1", "library": {"name": "analytics.js"}},
    "integrations": {},
}
TEA = {"product_id": "tea", "sku": "T-1", "name": "Tea", "price": "3.50", "quantity": 2, "category": "Kitchen/Tea"}


def events(event: str, properties: dict[str, Any], **fields: Any) -> list[Event]:
    outcome = read({**CALL, "event": event, "properties": properties, **fields})
    assert isinstance(outcome, list)
    return outcome


def problem(call: Any) -> str:
    reading = read_body(msgspec.json.encode(call), FORMATS["segment"], RULES)
    assert (reading.events, reading.merges, reading.skipped) == ([], [], [])
    return reading.rejected[0].problem


@pytest.mark.parametrize(
    ("event", "event_type"),
    [
        ("Product Viewed", "view"),
        ("Product Clicked", "click"),
        ("Product Added", "add_to_cart"),
        ("Product Removed", "remove_from_cart"),
        ("Product Added to Wishlist", "like"),
    ],
)
def test_a_call_about_one_product_is_one_event(event: str, event_type: str) -> None:
    assert events(event, TEA) == [
        Event(
            event_type=event_type,
            item_id="tea",
            event_id="ajs-1",
            user_id="ada",
            session_id="device-7",
            category="Kitchen/Tea",
            quantity=2,
            price=3.5,
            timestamp=datetime(2026, 1, 1, 12, tzinfo=UTC),
        )
    ]


def test_an_order_is_a_purchase_for_each_product_with_the_size_of_the_order() -> None:
    order = events("Order Completed", {"order_id": 50314, "total": 30, "products": [TEA, {"sku": "M-1"}]})
    assert [(e.event_type, e.item_id, e.order_id, e.order_size, e.event_id) for e in order] == [
        ("purchase", "tea", "50314", 2, "ajs-1:0"),
        ("purchase", "M-1", "50314", 2, "ajs-1:1"),
    ]


def test_a_viewed_list_is_an_impression_for_each_product_and_no_order() -> None:
    seen = events("Product List Viewed", {"order_id": "o", "products": [{"product_id": 7}, {"product_id": "b"}]})
    assert [(e.event_type, e.item_id, e.order_id) for e in seen] == [("impression", "7", ""), ("impression", "b", "")]


def test_null_stands_for_a_field_that_is_not_given() -> None:
    empty = dict.fromkeys(("price", "quantity", "category", "sku"))
    (view,) = events("Product Viewed", {"product_id": "tea", **empty}, userId=None, context=None, messageId=None)
    assert view == Event(event_type="view", item_id="tea", session_id="device-7", timestamp=view.timestamp)


@pytest.mark.parametrize(
    ("user", "device", "session", "expected"),
    [
        ("ada", "device-7", 17, ("ada", "17")),
        ("ada", "device-7", None, ("ada", "device-7")),
        ("ada", None, None, ("ada", "")),
        (None, "device-7", 17, ("", "device-7")),
        (None, None, 17, ("", "17")),
        (4711, None, None, ("4711", "")),
    ],
)
def test_a_guest_is_known_by_the_device_and_a_user_has_the_session_of_the_visit(
    user: Any, device: Any, session: Any, expected: tuple[str, str]
) -> None:
    (view,) = events("Product Viewed", TEA, userId=user, anonymousId=device, context={"sessionId": session})
    assert (view.user_id, view.session_id) == expected


@pytest.mark.parametrize(
    ("call", "guest"),
    [
        ({"type": "identify", "userId": "ada", "anonymousId": "device-7", "traits": {"plan": "x"}}, "device-7"),
        ({"type": "identify", "userId": "ada", "anonymousId": 7}, "7"),
        ({"type": "alias", "userId": "ada", "previousId": "old", "anonymousId": "device-7"}, "old"),
    ],
)
def test_identify_and_alias_with_both_ids_merge_a_guest(call: dict[str, Any], guest: str) -> None:
    merge = read(call)
    assert isinstance(merge, Merge)
    assert (merge.guest_id, merge.user_id) == (guest, "ada")


@pytest.mark.parametrize(
    ("call", "kind", "name"),
    [
        ({"type": "identify", "userId": "ada"}, "identify", "identify"),
        ({"type": "identify", "anonymousId": "device-7", "userId": None}, "identify", "identify"),
        ({"type": "identify", "anonymousId": "ada", "userId": "ada"}, "identify", "identify"),
        ({"type": "page", "name": "Home", "userId": "ada"}, "page", "page"),
        ({"type": "screen"}, "screen", "screen"),
        ({"type": "group", "groupId": "g"}, "group", "group"),
        ({"type": "record", "messageId": "m"}, "other", "record"),
        ({"type": "track", "event": "Cart Viewed", "properties": {"products": 3}}, "track", "track Cart Viewed"),
        ({"type": "track"}, "track", "track"),
    ],
)
def test_other_calls_are_skipped_under_one_of_a_few_kinds(call: dict[str, Any], kind: str, name: str) -> None:
    assert read(call) == Skipped("segment", kind, name)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({**CALL, "event": "Product Viewed", "properties": {}}, "properties.product_id: missing"),
        ({**CALL, "event": "Product Viewed", "properties": None}, "properties.product_id: missing"),
        ({**CALL, "event": "Order Completed", "properties": {"order_id": "o"}}, "properties.products: missing"),
        ({**CALL, "event": "Order Completed", "properties": {"products": []}}, "properties.products: missing"),
        ({**CALL, "event": "Order Completed", "properties": {"products": {}}}, "properties.products: expected `array`"),
        (
            {**CALL, "event": "Order Completed", "properties": {"products": [TEA, "pot"]}},
            "properties.products[1]: expected `object`",
        ),
        (
            {**CALL, "event": "Order Completed", "properties": {"products": [TEA, {"price": 1}]}},
            "properties.products[1].product_id: missing",
        ),
        ({**CALL, "event": "Product Viewed", "properties": {**TEA, "quantity": -1}}, "quantity: expected `int` >= 0"),
        (
            {"type": "track", "event": "Product Viewed", "properties": TEA},
            "userId: missing; a guest needs an anonymousId instead",
        ),
        (
            {**CALL, "event": "Product Viewed", "properties": TEA, "timestamp": "noon"},
            'timestamp: "noon" is not a time like 2026-01-31T12:00:00Z',
        ),
        ({"type": "alias", "userId": "ada"}, "previousId: missing"),
        ({"type": "alias", "previousId": "old"}, "userId: missing"),
        ({"userId": "ada"}, "type: missing"),
        ({"type": "track", "event": 7}, "event: expected `str | null`, got `int`"),
        (7, "expected `object`, got `int`"),
    ],
)
def test_a_known_call_with_a_fault_has_a_problem(call: Any, expected: str) -> None:
    assert problem(call) == expected


def test_a_price_that_is_no_number_is_a_problem_of_the_price() -> None:
    assert problem({**CALL, "event": "Product Viewed", "properties": {**TEA, "price": "dear"}}).startswith("price: ")


def test_a_call_without_a_type_is_a_track_call_if_it_names_an_event() -> None:
    (view,) = events("Product Viewed", TEA, type=None)
    assert view.event_type == "view"


@pytest.mark.parametrize(
    ("body", "recognized"),
    [
        ({"type": "page"}, True),
        ({"type": "record", "messageId": "m"}, True),
        ({"batch": []}, True),
        ({"batch": 7, "type": "view"}, False),
        ({"type": "view", "user_id": "ada", "item_id": "tea"}, False),
        ({"event_type": "view", "user_id": "track", "item_id": "type"}, False),
    ],
)
def test_an_event_with_a_misspelt_field_is_not_mistaken_for_a_call(body: dict[str, Any], recognized: bool) -> None:
    assert recognizes(body) == recognized


def test_every_call_is_mapped_to_a_standard_type() -> None:
    assert {action.event_type for action in ACTIONS.values()} <= set(STANDARD_TYPES)


@pytest.mark.parametrize("event", ["Order Refunded", "Order Cancelled"])
def test_an_order_is_taken_back_whole_or_by_its_products(event: str) -> None:
    (whole,) = events(event, {"order_id": "o"})
    assert (whole.event_type, whole.order_id, whole.item_id, whole.order_size) == ("refund", "o", "", 0)
    lines = events(event, {"order_id": "o", "products": [TEA, {"product_id": "pot"}]})
    assert [(e.item_id, e.order_id, e.quantity) for e in lines] == [("tea", "o", 2), ("pot", "o", msgspec.UNSET)]
    assert (
        problem({**CALL, "event": event, "properties": {}})
        == "item_id: missing; a refund without one needs an order_id"
    )


def test_identify_offers_the_traits_of_a_user_or_a_guest() -> None:
    traits = {"plan": "pro", "email": "a@example.com"}
    merge = read({"type": "identify", "userId": "ada", "anonymousId": "s1", "traits": traits})
    assert isinstance(merge, Merge)
    assert merge.identified == Identified("ada", traits, None)
    guest = read(
        {
            "type": "identify",
            "anonymousId": 7,
            "timestamp": "2026-01-01T12:00:00Z",
            "context": {"traits": {"plan": "free"}},
        }
    )
    assert isinstance(guest, Skipped)
    assert guest.identified == Identified("7", {"plan": "free"}, datetime(2026, 1, 1, 12, tzinfo=UTC))
    nothing: list[Any] = [{}, None, [], "pro"]
    for traits_of_nobody in nothing:
        skipped = read({"type": "identify", "userId": "ada", "traits": traits_of_nobody})
        assert isinstance(skipped, Skipped)
        assert skipped.identified is None
