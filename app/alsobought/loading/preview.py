"""One row as it would be stored, as JSON. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from msgspec import NODEFAULT, structs

from alsobought.events import Event, Item, in_utc


def as_stored(row: Event | Item) -> str:
    """The fields that differ from their defaults.

    >>> as_stored(Item(item_id="tea", price=2.5))
    '{"item_id":"tea","price":2.5}'
    """
    shown = {}
    for field in structs.fields(row):
        value = getattr(row, field.name)
        default = field.default_factory() if field.default_factory is not NODEFAULT else field.default
        if value != default:
            shown[field.name] = in_utc(value).astimezone(UTC) if isinstance(value, datetime) else value
    return msgspec.json.encode(shown).decode()
