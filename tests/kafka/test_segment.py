"""Segment's track calls become events, and what is wrong with one is said in its own words."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from alsobought.events import Event
from alsobought.kafka.segment import MANY, ONE, events_of, looks_like_track

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


def told(event: str, properties: dict[str, Any], **more: Any) -> list[Event] | str:
    return events_of(json.dumps({**CALL, "event": event, "properties": properties, **more}).encode())


@pytest.mark.parametrize(("event", "kind"), ONE.items())
def test_a_call_about_one_product_is_one_event(event: str, kind: str) -> None:
    found = told(event, TEA)
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert found == [
        Event(
            event_type=kind,
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
    found = told("Order Completed", {"order_id": 50314, "total": 30, "products": [TEA, {"sku": "M-1"}]})
    assert isinstance(found, list)
    assert [(e.event_type, e.item_id, e.order_id, e.order_size, e.event_id) for e in found] == [
        ("purchase", "tea", "50314", 2, "ajs-1:0"),
        ("purchase", "M-1", "50314", 2, "ajs-1:1"),
    ]


def test_a_list_that_was_viewed_is_an_impression_for_each_product() -> None:
    found = told("Product List Viewed", {"list_id": "hot", "products": [{"product_id": 7}, {"product_id": "b"}]})
    assert isinstance(found, list)
    assert [(e.event_type, e.item_id, e.order_id) for e in found] == [("impression", "7", ""), ("impression", "b", "")]


def test_a_guest_is_known_by_the_device_and_a_session_by_its_own_id() -> None:
    (guest,) = cast(list[Event], told("Product Viewed", TEA, userId=None))
    assert (guest.user_id, guest.session_id) == ("", "device-7")
    (visit,) = cast(list[Event], told("Product Viewed", TEA, context={"sessionId": 1_700_000_000}))
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
def test_what_is_wrong_is_said_in_a_sentence(event: str, properties: dict[str, Any], problem: str) -> None:
    found = told(event, properties)
    assert isinstance(found, str)
    assert found.startswith(problem)


def test_an_event_of_ours_is_not_taken_for_a_track_call() -> None:
    assert looks_like_track(json.dumps({**CALL, "event": "x"}).encode())
    assert not looks_like_track(b'{"event_type": "view", "user_id": "track", "item_id": "type"}')


def test_every_call_is_mapped_to_a_standard_type() -> None:
    from alsobought.events import STANDARD_TYPES

    assert {*ONE.values(), *MANY.values()} <= set(STANDARD_TYPES)
