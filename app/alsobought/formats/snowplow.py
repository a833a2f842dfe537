"""Enriched events of Snowplow as JSON: its e-commerce actions, and the older cart and transaction events. Pure.

The JSON is that of Snowplow's analytics SDKs: Snowbridge makes it (`spEnrichedToJson`), and loaders
and webhooks pass it on. The user is `user_id`; a guest is known by the `domain_userid`, in apps by the
`userId` of the client session. The event_id is `event_id`, so that a repeated event counts once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from alsobought.formats.calls import (
    Action,
    Outcome,
    Products,
    Skipped,
    objects_in,
    optional_id,
    optional_time,
    product_events,
    product_fields,
    recommendation_fields,
    who,
)
from alsobought.json_values import fault, text_at

VENDOR = "com_snowplowanalytics_snowplow"
ACTION = f"unstruct_event_{VENDOR}_ecommerce_snowplow_ecommerce_action_1"
PRODUCTS = f"contexts_{VENDOR}_ecommerce_product_1"
ORDERS = (f"contexts_{VENDOR}_ecommerce_transaction_1", f"contexts_{VENDOR}_ecommerce_refund_1")
CLIENT_SESSION = f"contexts_{VENDOR}_client_session_1"

NAME = "snowplow"
ACTIONS: Mapping[str, Action] = {
    "product_view": Action("view"),
    "list_click": Action("click"),
    "add_to_cart": Action("add_to_cart"),
    "remove_from_cart": Action("remove_from_cart"),
    "list_view": Action("impression"),
    "transaction": Action("purchase"),
    "refund": Action("refund", Products.LIST_OR_ORDER),
}
"""E-commerce actions by their type; all others are skipped."""
CART_EVENTS = ("add_to_cart", "remove_from_cart")  # older ones, with one product each
KINDS = (
    "page_view",
    "page_ping",
    "event",
    "link_click",
    "transaction",
    "trns_error",
    "checkout_step",
    "promo_view",
    "promo_click",
    "snowplow_ecommerce_action",
)
OTHER = "other"


def recognizes(body: Mapping[str, Any]) -> bool:
    """True for an enriched event: the collector and the pipeline give every one a time.

    >>> recognizes({"event_name": "page_view", "collector_tstamp": "2026-01-01T12:00:00Z"}), recognizes({"event": "x"})
    (True, False)
    """
    return _is_event(body) or _is_event(body.get("detail"))


def _is_event(value: Any) -> bool:
    return isinstance(value, dict) and not {"collector_tstamp", "derived_tstamp"}.isdisjoint(value)


def calls(body: Any) -> list[Any]:
    """The event; EventBridge wraps it as `detail`."""
    detail = body.get("detail") if isinstance(body, dict) else None
    return [detail if _is_event(detail) else body]


def user_agent(call: Any) -> str:
    """The user agent that the collector noted."""
    return text_at(call, "useragent")


def read(event: Any) -> Outcome:
    """What becomes of an event. Raises msgspec.ValidationError.

    >>> read({"domain_userid": "d7", ACTION: {"type": "product_view"}, PRODUCTS: [{"id": "tea"}]})[0].item_id
    'tea'
    """
    if not isinstance(event, dict):
        raise msgspec.ValidationError("Expected `object`")
    if isinstance(event.get(ACTION), dict):
        return _ecommerce_action(event, event[ACTION].get("type"))
    name = event.get("event_name") or event.get("event")
    if not name:
        raise fault("missing", "event_name")
    if name == "transaction_item":
        return _transaction_item(event)
    if name in CART_EVENTS:
        return _cart_event(event, name)
    return _skipped(name)


def _skipped(name: Any) -> Skipped:
    return Skipped(NAME, name if name in KINDS else OTHER, str(name))


def _ecommerce_action(event: Mapping[str, Any], action_type: Any) -> Outcome:
    action = ACTIONS.get(str(action_type))
    if not action:
        return _skipped(action_type or "snowplow_ecommerce_action")
    fields = [
        product_fields(given.get("id"), given)
        | recommendation_fields([given.get("recommendation_id")], [event[ACTION].get("name")], given.get("position"))
        for given in objects_in(event.get(PRODUCTS), PRODUCTS)
    ]
    orders = [order for name in ORDERS for order in objects_in(event.get(name), name)]
    order_id = optional_id(orders[0].get("transaction_id")) if orders else None
    return product_events(action, {**_common(event), "order_id": order_id}, fields, PRODUCTS, "id")


def _transaction_item(event: Mapping[str, Any]) -> Outcome:
    """A line of an order. The size of the order is not known."""
    if not event.get("ti_sku"):
        raise fault("missing", "ti_sku")
    order = optional_id(event.get("ti_orderid")) or optional_id(event.get("tr_orderid"))
    line = {
        "item_id": optional_id(event["ti_sku"]),
        "category": event.get("ti_category"),
        "quantity": event.get("ti_quantity"),
        "price": event.get("ti_price"),
        "order_size": None,
    }
    return product_events(Action("purchase"), {**_common(event), "order_id": order}, [line], "ti", "ti_sku")


def _cart_event(event: Mapping[str, Any], name: str) -> Outcome:
    column = f"unstruct_event_{VENDOR}_{name}_1"
    cart = event.get(column)
    if not isinstance(cart, dict):
        raise fault("missing", column)
    price = cart.get("unitPrice", cart.get("unit_price", cart.get("price")))
    return product_events(
        Action(name, Products.ONE),
        _common(event),
        [product_fields(cart.get("sku"), {**cart, "price": price})],
        column,
        "sku",
    )


def _common(event: Mapping[str, Any]) -> dict[str, Any]:
    in_app = (objects_in(event.get(CLIENT_SESSION), CLIENT_SESSION) or [{}])[0]
    user, device = (
        optional_id(event.get("user_id")),
        optional_id(event.get("domain_userid")) or optional_id(in_app.get("userId")),
    )
    session = optional_id(event.get("domain_sessionid")) or optional_id(in_app.get("sessionId"))
    if not (user or device or session):
        raise fault("missing; a guest needs a domain_userid instead", "user_id")
    name = "derived_tstamp" if event.get("derived_tstamp") else "collector_tstamp"
    return {
        "event_id": optional_id(event.get("event_id")),
        **who(user, device, session),
        "timestamp": optional_time(event.get(name), name),
    }
