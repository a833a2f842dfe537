"""What becomes of one call of an analytics tool: events, a merge of a guest, nothing, or a problem. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any

import msgspec

from alsobought.events import Event

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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
class Skipped:
    """A call that is none of ours. `kind` is one of the format's few, for counters; `name` is as the call has it."""

    format: str
    kind: str
    name: str


@dataclass(frozen=True)
class Merge:
    """A guest who turned out to be a user. `call` is what is skipped where guests may not be merged."""

    guest_id: str
    user_id: str
    call: Skipped = field(repr=False)


Outcome = list[Event] | Merge | Skipped | str
"""A string is the problem of a call that should have become events."""


class Fault(ValueError):
    """The problem of a call: the field in the names of its format, and what is wrong."""


def product_events(
    action: Action, common: Mapping[str, Any], products: Sequence[Mapping[str, Any]], path: str, item_name: str
) -> list[Event]:
    """One event for each product, given as fields of an event like `common`, what they share. None stands for not given.

    `path` and `item_name` are the names of the products and of their id in messages. Raises Fault, msgspec.ValidationError.
    """
    if not products:
        if action.products is not Products.LIST_OR_ORDER:
            raise Fault(f"{path}: missing")
        products = [{}]
    elif unnamed := [number for number, product in enumerate(products) if not product.get("item_id")]:
        number = f"[{unnamed[0]}]" if action.products is not Products.ONE else ""
        raise Fault(f"{path}{number}.{item_name}: missing")
    shared = dict(common)
    if action.event_type not in WITH_ORDER:
        shared.pop("order_id", None)
    elif action.event_type == "purchase":
        shared.setdefault("order_size", len(products))
    event_id = shared.pop("event_id", None)
    return [
        _event(
            {
                **shared,
                "event_type": action.event_type,
                "event_id": f"{event_id}:{number}" if event_id and len(products) > 1 else event_id,
                **product,
            }
        )
        for number, product in enumerate(products)
    ]


def _event(fields: Mapping[str, Any]) -> Event:
    """Numbers may be text, as in `"price": "19.90"`."""
    return msgspec.convert({name: value for name, value in fields.items() if value is not None}, Event, strict=False)


def objects_in(value: Any, path: str) -> list[dict[str, Any]]:
    """A list of objects; empty if it is missing. Raises Fault."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Fault(f"{path}: expected `array`")
    for number, element in enumerate(value):
        if not isinstance(element, dict):
            raise Fault(f"{path}[{number}]: expected `object`")
    return value


def to_id(value: Any) -> Any:
    """An ID as text, since JSON often has numbers; None if it is empty.

    >>> to_id(17), to_id("17"), to_id("")
    ('17', '17', None)
    """
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value or None


def to_time(value: Any, name: str) -> datetime | None:
    """A time in ISO 8601; UTC if it names no zone. Raises Fault."""
    if value is None or value == "":
        return None
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Fault(f"{name}: {_shown(value)} is not a time like 2026-01-31T12:00:00Z") from None


def micros_to_time(value: Any, name: str) -> datetime | None:
    """A time in microseconds since 1970, as a number or as text. Raises Fault."""
    if value is None or value == "":
        return None
    try:
        return EPOCH + timedelta(microseconds=int(value))
    except (TypeError, ValueError, OverflowError):
        raise Fault(f"{name}: {_shown(value)} is not in microseconds since 1970") from None


def _shown(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}…"
