"""Enriched events of Snowplow as JSON: events, what is skipped, and problems in the names of their own fields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from alsobought.events import STANDARD_TYPES, Event, Rules
from alsobought.formats.calls import Skipped
from alsobought.formats.reading import FORMATS, Reading, read_body
from alsobought.formats.snowplow import ACTIONS

RULES = Rules(datetime(2026, 1, 2, tzinfo=UTC))
ACTION = "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1"
PRODUCTS = "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1"
TRANSACTION = "contexts_com_snowplowanalytics_snowplow_ecommerce_transaction_1"
CLIENT_SESSION = "contexts_com_snowplowanalytics_snowplow_client_session_1"
EVENT = {
    "app_id": "shop",
    "platform": "web",
    "collector_tstamp": "2026-01-01T12:00:05.000Z",
    "derived_tstamp": "2026-01-01T12:00:00.000Z",
    "event": "unstruct",
    "event_id": "e6c94fb8",
    "event_name": "snowplow_ecommerce_action",
    "domain_userid": "device-7",
    "domain_sessionid": "visit-3",
}
TEA = {"id": "tea", "name": "Tea", "category": "Kitchen/Tea", "price": 3.5, "currency": "EUR", "quantity": None}


def read(**fields: Any) -> Reading:
    return read_body(msgspec.json.encode(EVENT | fields), FORMATS["snowplow"], RULES)


def action(action_type: str, *products: Any, **fields: Any) -> Reading:
    return read(**{ACTION: {"type": action_type}, PRODUCTS: products, **fields})


def test_the_fields_of_an_action() -> None:
    assert action("product_view", TEA, user_id="ada").events == [
        Event(
            event_type="view",
            item_id="tea",
            event_id="e6c94fb8",
            user_id="ada",
            session_id="visit-3",
            category="Kitchen/Tea",
            price=3.5,
            timestamp=datetime(2026, 1, 1, 12, tzinfo=UTC),
        )
    ]


@pytest.mark.parametrize(
    ("action_type", "event_type"),
    [
        ("product_view", "view"),
        ("list_click", "click"),
        ("add_to_cart", "add_to_cart"),
        ("remove_from_cart", "remove_from_cart"),
        ("list_view", "impression"),
    ],
)
def test_each_product_of_an_action_is_an_event(action_type: str, event_type: str) -> None:
    events = action(action_type, TEA, {**TEA, "id": "pot", "quantity": 3}).events
    assert [(e.event_type, e.item_id, e.event_id, e.quantity) for e in events] == [
        (event_type, "tea", "e6c94fb8:0", msgspec.UNSET),
        (event_type, "pot", "e6c94fb8:1", 3),
    ]


def test_a_transaction_is_a_purchase_for_each_product() -> None:
    events = action("transaction", TEA, {**TEA, "id": "pot"}, **{TRANSACTION: [{"transaction_id": "T1"}]}).events
    assert [(e.event_type, e.order_id, e.order_size) for e in events] == [("purchase", "T1", 2)] * 2


def test_a_refund_takes_back_the_order_or_its_products() -> None:
    refund = {"contexts_com_snowplowanalytics_snowplow_ecommerce_refund_1": [{"transaction_id": "T1"}]}
    (whole,) = action("refund", **refund).events
    (part,) = action("refund", TEA, **refund).events
    assert [(e.event_type, e.order_id, e.item_id) for e in (whole, part)] == [
        ("refund", "T1", ""),
        ("refund", "T1", "tea"),
    ]


def test_an_item_of_an_older_transaction_is_a_purchase_and_the_transaction_is_skipped() -> None:
    line = {"ti_orderid": "T1", "ti_sku": "tea", "ti_category": "Kitchen", "ti_price": 3.5, "ti_quantity": 2}
    (bought,) = read(event_name="transaction_item", **line).events
    assert (bought.event_type, bought.item_id, bought.order_id, bought.order_size) == ("purchase", "tea", "T1", 0)
    assert (bought.category, bought.price, bought.quantity, bought.event_id) == ("Kitchen", 3.5, 2, "e6c94fb8")
    order = read(event_name="transaction", tr_orderid="T1", tr_total=7)
    assert order.skipped == [Skipped("snowplow", "transaction", "transaction")]


@pytest.mark.parametrize("name", ["add_to_cart", "remove_from_cart"])
def test_an_older_cart_event_has_one_product(name: str) -> None:
    column = f"unstruct_event_com_snowplowanalytics_snowplow_{name}_1"
    (event,) = read(event_name=name, **{column: {"sku": "tea", "unitPrice": 3.5, "quantity": 2}}).events
    assert (event.event_type, event.item_id, event.price, event.quantity) == (name, "tea", 3.5, 2)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"user_id": "ada"}, ("ada", "visit-3")),
        ({}, ("", "device-7")),
        ({"domain_userid": None}, ("", "visit-3")),
        (
            {
                "domain_userid": None,
                "domain_sessionid": None,
                CLIENT_SESSION: [{"userId": "phone-1", "sessionId": "visit-4"}],
            },
            ("", "phone-1"),
        ),
    ],
)
def test_a_guest_is_known_by_the_device(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    (view,) = action("product_view", TEA, **fields).events
    assert (view.user_id, view.session_id) == expected


def test_the_time_is_the_derived_one_else_that_of_the_collector() -> None:
    (view,) = action("product_view", TEA, derived_tstamp=None, collector_tstamp="2026-01-01 12:00:05.5").events
    assert view.timestamp == datetime(2026, 1, 1, 12, 0, 5, 500_000)


def test_an_event_in_the_envelope_of_eventbridge_is_read() -> None:
    detail = EVENT | {ACTION: {"type": "product_view"}, PRODUCTS: [TEA]}
    body = msgspec.json.encode({"version": "0", "detail-type": "enriched", "source": "snowplow", "detail": detail})
    (view,) = read_body(body, FORMATS["snowplow"], RULES).events
    assert view.item_id == "tea"


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"event_name": "page_view"}, "page_view"),
        ({"event_name": None, "event": "page_ping"}, "page_ping"),
        ({"event_name": "wishlist_shared"}, "other"),
        ({ACTION: {"type": "checkout_step"}}, "checkout_step"),
        ({ACTION: {"type": "gift"}}, "other"),
        ({ACTION: {}}, "snowplow_ecommerce_action"),
    ],
)
def test_other_events_are_skipped_under_one_of_a_few_kinds(fields: dict[str, Any], kind: str) -> None:
    (skipped,) = read(**fields).skipped
    assert (skipped.format, skipped.kind) == ("snowplow", kind)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({ACTION: {"type": "product_view"}}, f"{PRODUCTS}: missing"),
        ({ACTION: {"type": "product_view"}, PRODUCTS: [{"name": "Tea"}]}, f"{PRODUCTS}[0].id: missing"),
        ({ACTION: {"type": "product_view"}, PRODUCTS: TEA}, f"{PRODUCTS}: expected `array`"),
        ({"event_name": "transaction_item"}, "ti_sku: missing"),
        ({"event_name": "add_to_cart"}, "unstruct_event_com_snowplowanalytics_snowplow_add_to_cart_1: missing"),
        ({"event_name": None, "event": None}, "event_name: missing"),
        (
            {"event_name": "transaction_item", "ti_sku": "tea", "domain_userid": "", "domain_sessionid": ""},
            "user_id: missing; a guest needs a domain_userid instead",
        ),
    ],
)
def test_a_known_event_with_a_fault_has_a_problem(fields: dict[str, Any], problem: str) -> None:
    (rejected,) = read(**fields).rejected
    assert rejected.problem == problem


def test_every_action_is_mapped_to_a_standard_type() -> None:
    assert {mapped.event_type for mapped in ACTIONS.values()} <= set(STANDARD_TYPES)
