"""One row as it would be stored, as JSON. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import NODEFAULT, structs

from alsobought.events import Event, in_utc
from alsobought.items import Item
from alsobought.users import User

MAX_NUMBERS = 3  # of an embedding


def as_stored(row: Event | Item | User) -> str:
    """The fields that differ from their defaults.

    >>> as_stored(Item(item_id="tea", price=2.5))
    '{"item_id":"tea","price":2.5}'
    """
    shown = {}
    for field in structs.fields(row):
        value = getattr(row, field.name)
        default = field.default_factory() if field.default_factory is not NODEFAULT else field.default
        if value != default:
            shown[field.name] = _readable(value)
    return msgspec.json.encode(shown).decode()


def _readable(value: Any) -> Any:
    """Times in UTC, and the beginning of an embedding."""
    if isinstance(value, list) and len(value) > MAX_NUMBERS:
        return [*value[:MAX_NUMBERS], f"… {len(value):,} numbers"]
    return in_utc(value).astimezone(UTC) if isinstance(value, datetime) else value
