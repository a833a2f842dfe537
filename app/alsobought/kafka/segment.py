"""Segment's e-commerce track calls as events, because many shops send them already. Pure.

    Product Viewed             view                Product List Viewed        impression, one for each product
    Product Clicked            click               Order Completed            purchase, one for each product
    Product Added              add_to_cart         Product Added to Wishlist  like
    Product Removed            remove_from_cart

The item is `product_id`, else `sku`. The user is `userId`; a guest is known by `anonymousId`. A session is what
`context.sessionId` or the property `session_id` says, else `anonymousId`. `messageId` makes the event_id, so that a repeated
call counts once; the products of one call are told apart by their place.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from alsobought.events import Event, readable_problem

ONE = {
    "Product Viewed": "view",
    "Product Clicked": "click",
    "Product Added": "add_to_cart",
    "Product Removed": "remove_from_cart",
    "Product Added to Wishlist": "like",
}
MANY = {"Product List Viewed": "impression", "Order Completed": "purchase"}


class Track(msgspec.Struct, rename="camel"):
    """What of a track call matters here; the rest is ignored."""

    event: str
    properties: dict[str, Any] = {}
    context: dict[str, Any] = {}
    user_id: str | int | None = None
    anonymous_id: str | None = None
    message_id: str | None = None
    timestamp: str | None = None


_decode = msgspec.json.Decoder(Track).decode


def looks_like_track(raw: bytes) -> bool:
    """Whether these bytes, which are no event of ours, may be a track call."""
    return re.search(rb'"type"\s*:\s*"track"', raw) is not None


def events_of(raw: bytes) -> list[Event] | str:
    """The events of a track call, or the sentence that says what is wrong with it.

    >>> [event.event_type for event in events_of(
    ...     b'{"type": "track", "event": "Product Viewed", "userId": "ada", "properties": {"product_id": "tea"}}')]
    ['view']
    """
    try:
        call = _decode(raw)
        if call.event in ONE:
            return [_event(call, ONE[call.event], call.properties, 0, 1)]
        if call.event in MANY:
            products = call.properties.get("products")
            if not isinstance(products, list) or not products:
                return "properties.products: missing"
            return [_event(call, MANY[call.event], one, nth, len(products)) for nth, one in enumerate(products)]
    except msgspec.ValidationError as error:
        return readable_problem(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"not JSON: {error}"
    return f"event: {call.event!r} is not one of {', '.join([*ONE, *MANY])}"


def _event(call: Track, kind: str, product: Any, nth: int, of: int) -> Event:
    if not isinstance(product, dict):
        raise msgspec.ValidationError(f"Expected `object` - at `$.properties.products[{nth}]`")
    own = call.properties
    fields = {
        "event_type": kind,
        "item_id": _text(product.get("product_id") or product.get("sku")),
        "event_id": call.message_id and (call.message_id if of == 1 else f"{call.message_id}:{nth}"),
        "user_id": _text(call.user_id),
        "session_id": _text(call.context.get("sessionId") or own.get("session_id") or call.anonymous_id),
        "category": product.get("category"),
        "order_id": _text(own.get("order_id")) if kind == "purchase" else None,
        "order_size": of if kind == "purchase" else None,
        "quantity": product.get("quantity"),
        "price": product.get("price"),
        "timestamp": call.timestamp,
    }
    return msgspec.convert({name: value for name, value in fields.items() if value is not None}, Event, strict=False)


def _text(value: Any) -> Any:
    """Ids may be numbers there; here they are texts."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value or None
