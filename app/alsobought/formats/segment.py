"""Calls of Segment's spec, as RudderStack and others send them too: its e-commerce events, identify and alias. Pure.

The item is `product_id`, else `sku`. The user is `userId`; a guest is known by the `anonymousId`, which
is also the session of calls without a `context.sessionId`. The event_id is `messageId`, so that a
repeated call counts once, followed by the product's index if the call has several. The traits of
identify are offered as attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from alsobought.formats.calls import (
    Action,
    Identified,
    Merge,
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

NAME = "segment"
ACTIONS: Mapping[str, Action] = {
    "Product Viewed": Action("view", Products.ONE),
    "Product Clicked": Action("click", Products.ONE),
    "Product Added": Action("add_to_cart", Products.ONE),
    "Product Removed": Action("remove_from_cart", Products.ONE),
    "Product Added to Wishlist": Action("like", Products.ONE),
    "Product List Viewed": Action("impression"),
    "Order Completed": Action("purchase"),
    "Order Refunded": Action("refund", Products.LIST_OR_ORDER),
    "Order Cancelled": Action("refund", Products.LIST_OR_ORDER),
}
"""Track calls by the name of their event; all others are skipped."""
KINDS = ("track", "identify", "alias", "page", "screen", "group")
OTHER = "other"
OWN_NAMES = {"messageId", "anonymousId"}


class Call(msgspec.Struct, rename="camel"):
    """The fields that are used; the others are ignored. Any of them may be null."""

    type: str | None = None
    event: str | None = None
    properties: dict[str, Any] | None = None
    traits: Any = None
    context: dict[str, Any] | None = None
    user_id: str | int | None = None
    anonymous_id: str | int | None = None
    previous_id: str | int | None = None
    message_id: str | int | None = None
    timestamp: str | float | None = None


def recognizes(body: Mapping[str, Any]) -> bool:
    """True for a call, and for a batch of calls. `type` in an event is a mistake that must not be skipped.

    >>> recognizes({"type": "track", "event": "Product Viewed"}), recognizes({"type": "view", "item_id": "tea"})
    (True, False)
    """
    if isinstance(body.get("batch"), list):
        return True
    return body.get("type") in KINDS or ("type" in body and not OWN_NAMES.isdisjoint(body))


def calls(body: Any) -> list[Any]:
    """The calls of a batch, or the body itself."""
    batch = body.get("batch") if isinstance(body, dict) else None
    return batch if isinstance(batch, list) else [body]


def user_agent(call: Any) -> str:
    """The user agent of the browser or app."""
    return text_at(call, "context", "userAgent")


def read(body: Any) -> Outcome:
    """What becomes of a call. Raises msgspec.ValidationError.

    >>> product = {"product_id": "tea"}
    >>> read({"type": "track", "event": "Product Viewed", "userId": "ada", "properties": product})[0].event_type
    'view'
    >>> read({"type": "identify", "userId": "ada", "anonymousId": "device-7"})
    Merge(guest_id='device-7', user_id='ada')
    """
    call = msgspec.convert(body, Call)
    kind = call.type or ("track" if call.event else None)
    if kind is None:
        raise fault("missing", "type")
    if kind == "track":
        action = ACTIONS.get(call.event or "")
        return _events(call, action) if action else Skipped(NAME, kind, f"track {call.event or ''}".strip())
    if kind == "identify":
        return _identified(call)
    if kind == "alias":
        if not (call.previous_id and call.user_id):
            raise fault("missing", "userId" if call.previous_id else "previousId")
        return _merge(call, call.previous_id)
    return Skipped(NAME, kind if kind in KINDS else OTHER, kind)


def _identified(call: Call) -> Merge | Skipped:
    """A merge, or nothing, with the traits of the user, who is a guest without a userId. RudderStack has them in the context."""
    merge = _merge(call, call.anonymous_id)
    user_id = optional_id(call.user_id) or optional_id(call.anonymous_id)
    traits = {**_object((call.context or {}).get("traits")), **_object(call.traits)}
    if not (user_id and traits):
        return merge
    return replace(merge, identified=Identified(user_id, traits, optional_time(call.timestamp, "timestamp")))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _merge(call: Call, guest: str | int | None) -> Merge | Skipped:
    """A merge, if the call names two users."""
    guest_id, user_id = optional_id(guest), optional_id(call.user_id)
    skipped = Skipped(NAME, str(call.type), str(call.type))
    return Merge(guest_id, user_id, skipped) if guest_id and user_id and guest_id != user_id else skipped


def _events(call: Call, action: Action) -> Outcome:
    properties, path = call.properties or {}, "properties"
    products = [properties]
    if action.products is not Products.ONE:
        path = "properties.products"
        products = objects_in(properties.get("products"), path)
    fields = [
        product_fields(optional_id(given.get("product_id")) or given.get("sku"), given)
        | recommendation_fields(
            [given.get("recommendation_id"), properties.get("recommendation_id")],
            [given.get("list_id"), properties.get("list_id")],
            given.get("position"),
        )
        for given in products
    ]
    return product_events(action, _common(call, properties), fields, path, "product_id")


def _common(call: Call, properties: Mapping[str, Any]) -> dict[str, Any]:
    user, device = optional_id(call.user_id), optional_id(call.anonymous_id)
    session = optional_id((call.context or {}).get("sessionId")) or optional_id(properties.get("session_id"))
    if not (user or device or session):
        raise fault("missing; a guest needs an anonymousId instead", "userId")
    return {
        "event_id": call.message_id,
        **who(user, device, session),
        "order_id": optional_id(properties.get("order_id")),
        "timestamp": optional_time(call.timestamp, "timestamp"),
    }
