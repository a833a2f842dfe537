"""Segment's e-commerce track calls as events, because many shops send them already. Pure.

    Product Viewed             view                Product List Viewed        impression, one for each product
    Product Clicked            click               Order Completed            purchase, one for each product
    Product Added              add_to_cart         Product Added to Wishlist  like
    Product Removed            remove_from_cart

The item is `product_id`, else `sku`. The user is `userId`; a guest has only `anonymousId`. The
session is `context.sessionId` or the property `session_id`, else `anonymousId`. The event_id is
`messageId`, so that a repeated call counts once, followed by the product's index if the call has several.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from alsobought.events import Event, readable_problem

SINGLE_PRODUCT = {
    "Product Viewed": "view",
    "Product Clicked": "click",
    "Product Added": "add_to_cart",
    "Product Removed": "remove_from_cart",
    "Product Added to Wishlist": "like",
}
PRODUCT_LIST = {"Product List Viewed": "impression", "Order Completed": "purchase"}


class TrackCall(msgspec.Struct, rename="camel"):
    """The fields of a track call that are used; the others are ignored."""

    event: str
    properties: dict[str, Any] = {}
    context: dict[str, Any] = {}
    user_id: str | int | None = None
    anonymous_id: str | None = None
    message_id: str | None = None
    timestamp: str | None = None


_decode = msgspec.json.Decoder(TrackCall).decode


def is_track_call(body: bytes) -> bool:
    """True if a body that is no event may be a track call."""
    return re.search(rb'"type"\s*:\s*"track"', body) is not None


def track_events(body: bytes) -> list[Event] | str:
    """The events of a track call, or the reason why it has none.

    >>> [event.event_type for event in track_events(
    ...     b'{"type": "track", "event": "Product Viewed", "userId": "ada", "properties": {"product_id": "tea"}}')]
    ['view']
    """
    try:
        call = _decode(body)
        if call.event in SINGLE_PRODUCT:
            return [_event(call, SINGLE_PRODUCT[call.event], call.properties, 0, 1)]
        if call.event in PRODUCT_LIST:
            products = call.properties.get("products")
            if not isinstance(products, list) or not products:
                return "properties.products: missing"
            event_type = PRODUCT_LIST[call.event]
            return [_event(call, event_type, product, n, len(products)) for n, product in enumerate(products)]
    except msgspec.ValidationError as error:
        return readable_problem(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"not JSON: {error}"
    return f"event: {call.event!r} is not one of {', '.join([*SINGLE_PRODUCT, *PRODUCT_LIST])}"


def _event(call: TrackCall, event_type: str, product: Any, index: int, count: int) -> Event:
    if not isinstance(product, dict):
        raise msgspec.ValidationError(f"Expected `object` - at `$.properties.products[{index}]`")
    properties = call.properties
    fields = {
        "event_type": event_type,
        "item_id": _id_text(product.get("product_id") or product.get("sku")),
        "event_id": call.message_id and (call.message_id if count == 1 else f"{call.message_id}:{index}"),
        "user_id": _id_text(call.user_id),
        "session_id": _id_text(call.context.get("sessionId") or properties.get("session_id") or call.anonymous_id),
        "category": product.get("category"),
        "order_id": _id_text(properties.get("order_id")) if event_type == "purchase" else None,
        "order_size": count if event_type == "purchase" else None,
        "quantity": product.get("quantity"),
        "price": product.get("price"),
        "timestamp": call.timestamp,
    }
    return msgspec.convert({name: value for name, value in fields.items() if value is not None}, Event, strict=False)


def _id_text(value: Any) -> Any:
    """An ID as text: Segment also allows numbers."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value or None
