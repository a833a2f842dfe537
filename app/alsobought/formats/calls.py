"""What becomes of one call of an analytics tool: events, a merge of a guest, attributes, nothing, or a problem. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

from alsobought.events import Event, event_of
from alsobought.json_values import fault, shown, to_id, to_time
from alsobought.recommendation_ids import is_recommendation_id

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_POSITION = 65_535
WITH_ORDER = ("purchase", "refund")  # event types that belong to an order


class Products(Enum):
    """How many products a call is about."""

    ONE = "one"
    LIST = "a list of at least one"
    LIST_OR_ORDER = "a list, or none: then the event is about the whole order"


@dataclass(frozen=True)
class Action:
    """The event that a call becomes, one for each of its products."""

    event_type: str
    products: Products = Products.LIST


@dataclass(frozen=True)
class Identified:
    """A user with traits, some of which become attributes."""

    user_id: str
    traits: Mapping[str, Any]
    timestamp: datetime | None


@dataclass(frozen=True)
class Skipped:
    """A call that has no events for us. `kind` is one of the format's few, for counters; `name` is as the call has it."""

    format: str
    kind: str
    name: str
    identified: Identified | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Merge:
    """A guest who turned out to be a user. `call` is what is skipped where guests may not be merged."""

    guest_id: str
    user_id: str
    call: Skipped = field(repr=False)
    identified: Identified | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Dropped:
    """An event or a call of a known bot, by the name in the list of bots."""

    bot: str


Outcome = list[Event] | Merge | Skipped | Dropped | str
"""A string is the problem of a call that should have become events."""


def product_events(
    action: Action, common: Mapping[str, Any], products: Sequence[Mapping[str, Any]], path: str, item_name: str
) -> list[Event]:
    """One event for each product, given as fields of an event like `common`, what they share. None stands for not given.

    `path` and `item_name` are the names of the products and of their id in messages. Raises msgspec.ValidationError.
    """
    if not products:
        if action.products is not Products.LIST_OR_ORDER:
            raise fault("missing", path)
        products = [{}]
    elif unnamed := [number for number, product in enumerate(products) if not product.get("item_id")]:
        number = f"[{unnamed[0]}]" if action.products is not Products.ONE else ""
        raise fault("missing", f"{path}{number}.{item_name}")
    shared = dict(common)
    if action.event_type not in WITH_ORDER:
        shared.pop("order_id", None)
    elif action.event_type == "purchase":
        shared.setdefault("order_size", len(products))
    event_id = shared.pop("event_id", None)
    return [
        event_of(
            {
                **shared,
                "event_type": action.event_type,
                "event_id": f"{event_id}:{number}" if event_id and len(products) > 1 else event_id,
                **product,
            }
        )
        for number, product in enumerate(products)
    ]


def objects_in(value: Any, path: str) -> list[dict[str, Any]]:
    """A list of objects; empty if it is missing. Raises msgspec.ValidationError."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise fault("expected `array`", path)
    for number, element in enumerate(value):
        if not isinstance(element, dict):
            raise fault("expected `object`", f"{path}[{number}]")
    return value


def who(user: Any, device: Any, session: Any) -> dict[str, Any]:
    """The user and the session of a call: a guest is known by the device, and a user has the session of the visit.

    >>> who("ada", "device-7", None), who(None, "device-7", "visit-1")
    ({'user_id': 'ada', 'session_id': 'device-7'}, {'user_id': None, 'session_id': 'device-7'})
    """
    return {"user_id": user, "session_id": (session or device) if user else (device or session)}


def product_fields(item_id: Any, values: Mapping[str, Any], category: Any = None) -> dict[str, Any]:
    """A product as fields of an event."""
    return {
        "item_id": optional_id(item_id),
        "category": category or values.get("category"),
        "quantity": values.get("quantity"),
        "price": values.get("price"),
    }


def recommendation_fields(own: Sequence[Any], lists: Sequence[Any], position: Any, first: int = 1) -> dict[str, Any]:
    """The recommendation that showed a product, as fields of an event. `first` is how the tool counts the first position.

    `own` are values of a field for the recommendation_id, `lists` those of fields that tools have for the name of a list: one
    counts only if it has the form of an id.

    >>> recommendation_fields([None], ["summer sale"], 3)
    {}
    >>> recommendation_fields(["x" * 32], [], 0, first=0)
    {'recommendation_id': 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 'position': 1}
    """
    named = [optional_id(value) for value in own]
    named += [text for value in lists if is_recommendation_id(text := str(value))]
    recommendation_id = next(filter(None, named), None)
    if recommendation_id is None:
        return {}
    try:
        place = int(position) - first + 1
    except (TypeError, ValueError, OverflowError):
        place = 0
    return {"recommendation_id": recommendation_id, "position": place if 0 < place <= MAX_POSITION else 0}


def optional_id(value: Any) -> Any:
    """An ID as text, since JSON often has numbers; None if it is empty.

    >>> optional_id(17), optional_id("17"), optional_id("")
    ('17', '17', None)
    """
    return to_id(value) or None


def optional_time(value: Any, name: str) -> Any:
    """A time in any of the forms that events may have."""
    return None if value is None or value == "" else to_time(value, name)


def time_of_micros(value: Any, name: str) -> datetime | None:
    """A time in microseconds since 1970, as a number or as text."""
    if value is None or value == "":
        return None
    try:
        return EPOCH + timedelta(microseconds=int(value))
    except (TypeError, ValueError, OverflowError):
        raise fault(f"{shown(value)} is not in microseconds since 1970", name) from None
