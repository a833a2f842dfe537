"""Track calls of Segment become events, or a reason in the names of its own fields."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from alsobought.events import Event
from alsobought.kafka.segment import PRODUCT_LIST, SINGLE_PRODUCT, is_track_call, track_events

CALL = {
    "type": "track",
    "messageId": "ajs-1",
    "userId": "ada",
    "anonymousId": "device-7",
    "timestamp": "2026-01-01T12:00:00.000Z",
    "context": {"ip": "10.0.0.1", "library": {"name": "analytics.js"}},
    "integrations": {},
}
TEA = {"product_id": "tea", "sku": "T-1", "name": "Tea", "price": 3.5, "quantity": 2, "category": "Kitchen/Tea"}


def decode(event: str, properties: dict[str, Any], **fields: Any) -> list[Event] | str:
    return track_events(json.dumps({**CALL, "event": event, "properties": properties, **fields}).encode())


@pytest.mark.parametrize(("event", "event_type"), SINGLE_PRODUCT.items())
def test_a_call_about_one_product_is_one_event(event: str, event_type: str) -> None:
    events = decode(event, TEA)
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert events == [
        Event(
            event_type=event_type,
            item_id="tea",
            event_id="ajs-1",
            user_id="ada",
            session_id="device-7",
            category="Kitchen/Tea",
            quantity=2,
            price=3.5,
            timestamp=noon,
        )
    ]


def test_an_order_is_a_purchase_for_each_product_with_the_size_of_the_order() -> None:
    events = decode("Order Completed", {"order_id": 50314, "total": 30, "products": [TEA, {"sku": "M-1"}]})
    assert isinstance(events, list)
    assert [(e.event_type, e.item_id, e.order_id, e.order_size, e.event_id) for e in events] == [
        ("purchase", "tea", "50314", 2, "ajs-1:0"),
        ("purchase", "M-1", "50314", 2, "ajs-1:1"),
    ]


def test_a_viewed_list_is_an_impression_for_each_product() -> None:
    events = decode("Product List Viewed", {"list_id": "hot", "products": [{"product_id": 7}, {"product_id": "b"}]})
    assert isinstance(events, list)
    assert [(e.event_type, e.item_id, e.order_id) for e in events] == [("impression", "7", ""), ("impression", "b", "")]


def test_a_guest_has_the_device_as_session_unless_the_session_has_an_id() -> None:
    (guest,) = cast(list[Event], decode("Product Viewed", TEA, userId=None))
    assert (guest.user_id, guest.session_id) == ("", "device-7")
    (visit,) = cast(list[Event], decode("Product Viewed", TEA, context={"sessionId": 1_700_000_000}))
    assert (visit.user_id, visit.session_id) == ("ada", "1700000000")


@pytest.mark.parametrize(
    ("event", "properties", "problem"),
    [
        ("Order Refunded", {}, "event: 'Order Refunded' is not one of Product Viewed, "),
        ("Product Viewed", {}, "item_id: missing"),
        ("Order Completed", {"order_id": "o"}, "properties.products: missing"),
        ("Order Completed", {"products": []}, "properties.products: missing"),
        ("Order Completed", {"products": ["tea"]}, "properties.products[0]: expected `object`"),
        ("Product Viewed", {**TEA, "price": "dear"}, "price: "),
        ("Product Viewed", {**TEA, "quantity": -1}, "quantity: "),
    ],
)
def test_an_invalid_call_has_a_reason(event: str, properties: dict[str, Any], problem: str) -> None:
    reason = decode(event, properties)
    assert isinstance(reason, str)
    assert reason.startswith(problem)


def test_an_event_is_not_mistaken_for_a_track_call() -> None:
    assert is_track_call(json.dumps({**CALL, "event": "x"}).encode())
    assert not is_track_call(b'{"event_type": "view", "user_id": "track", "item_id": "type"}')


def test_every_call_is_mapped_to_a_standard_type() -> None:
    from alsobought.events import STANDARD_TYPES

    assert {*SINGLE_PRODUCT.values(), *PRODUCT_LIST.values()} <= set(STANDARD_TYPES)
