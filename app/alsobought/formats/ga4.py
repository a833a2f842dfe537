"""Bodies of Google Analytics' Measurement Protocol: the e-commerce events of GA4. Pure.

The item is `item_id`. The user is `user_id`; a guest is known by the `client_id`, in apps by the
`app_instance_id`. The protocol has no message ids, so a body that is sent again counts again, except
purchases and refunds of a whole order: their `transaction_id` makes the event_id, as Google, too, counts
a transaction once.

A `recommendation_id` is a parameter of the item or of the event, or the `item_list_id` if that has its form. `index` counts from 0,
as in Google's examples of view_item_list (developers.google.com/tag-manager/ecommerce-ga4); our positions count from 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from alsobought.formats.calls import (
    Action,
    Outcome,
    Products,
    Skipped,
    objects_in,
    optional_id,
    product_events,
    product_fields,
    recommendation_fields,
    time_of_micros,
    who,
)
from alsobought.json_values import fault, text_at

NAME = "ga4"
ACTIONS: Mapping[str, Action] = {
    "view_item": Action("view"),
    "select_item": Action("click"),
    "add_to_cart": Action("add_to_cart"),
    "remove_from_cart": Action("remove_from_cart"),
    "add_to_wishlist": Action("like"),
    "view_item_list": Action("impression"),
    "purchase": Action("purchase"),
    "refund": Action("refund", Products.LIST_OR_ORDER),
}
"""Events by their name; all others are skipped."""
KINDS = (
    "page_view",
    "session_start",
    "first_visit",
    "user_engagement",
    "scroll",
    "search",
    "view_search_results",
    "view_cart",
    "begin_checkout",
    "add_shipping_info",
    "add_payment_info",
    "view_promotion",
    "select_promotion",
    "login",
    "sign_up",
)
OTHER = "other"
CATEGORIES = ("item_category", "item_category2", "item_category3", "item_category4", "item_category5")


class CalledEvent(msgspec.Struct):
    """The fields of an event that are used."""

    name: str
    params: dict[str, Any] | None = None
    timestamp_micros: str | int | None = None


class Call(msgspec.Struct):
    """The fields of a body that are used."""

    events: list[Any] | None = None
    user_id: str | int | None = None
    client_id: str | int | None = None
    app_instance_id: str | int | None = None
    timestamp_micros: str | int | None = None


def recognizes(body: Mapping[str, Any]) -> bool:
    """True for a body with events and somebody who did them.

    >>> recognizes({"client_id": "1.2", "events": []}), recognizes({"name": "purchase"})
    (True, False)
    """
    return isinstance(body.get("events"), list) and not {"client_id", "app_instance_id", "user_id"}.isdisjoint(body)


def calls(body: Any) -> Iterator[Any]:
    """A body for each event. A body without events is one faulty call."""
    events = body.get("events") if isinstance(body, dict) else None
    if isinstance(events, list):
        yield from ({**body, "events": [event]} for event in events)
    else:
        yield body


def user_agent(call: Any) -> str:
    """The user agent of the browser or app, if a server names it."""
    return text_at(call, "user_agent")


def read(body: Any) -> Outcome:
    """What becomes of a body with one event. Raises msgspec.ValidationError.

    >>> event = {"name": "view_item", "params": {"items": [{"item_id": "tea"}]}}
    >>> read({"client_id": "1.2", "events": [event]})[0].item_id
    'tea'
    """
    call = msgspec.convert(body, Call)
    if not call.events:
        raise fault("missing", "events")
    event = msgspec.convert(call.events[0], CalledEvent)
    action = ACTIONS.get(event.name)
    if not action:
        return Skipped(NAME, event.name if event.name in KINDS else OTHER, event.name)
    params, path = event.params or {}, "params.items"
    fields = [
        {
            **product_fields(
                item.get("item_id"), item, "/".join(str(item[name]) for name in CATEGORIES if item.get(name))
            ),
            **recommendation_fields(
                [item.get("recommendation_id"), params.get("recommendation_id")],
                [item.get("item_list_id"), params.get("item_list_id")],
                item.get("index"),
                first=0,
            ),
        }
        for item in objects_in(params.get("items"), path)
    ]
    common = _common(call, event, params)
    if common["order_id"] and (action.event_type == "purchase" or not fields):
        common["event_id"] = f"ga4:{action.event_type}:{common['order_id']}"
    return product_events(action, common, fields, path, "item_id")


def _common(call: Call, event: CalledEvent, params: Mapping[str, Any]) -> dict[str, Any]:
    user, device = optional_id(call.user_id), optional_id(call.client_id) or optional_id(call.app_instance_id)
    if not (user or device):
        raise fault("missing; a user who logged in may have a user_id instead", "client_id")
    session = optional_id(params.get("session_id")) or optional_id(params.get("ga_session_id"))
    return {
        **who(user, device, session),
        "order_id": optional_id(params.get("transaction_id")),
        "timestamp": time_of_micros(event.timestamp_micros or call.timestamp_micros, "timestamp_micros"),
    }
