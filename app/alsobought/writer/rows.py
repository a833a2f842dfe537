"""Events and items as rows of their tables, and their encoding as JSON lines."""

from __future__ import annotations

from datetime import datetime

import msgspec

from alsobought.events import Item


class EventRow(msgspec.Struct, omit_defaults=True, gc=False):
    """A row of `events`. Omitted fields take the column's default: so the category of the catalogue is stamped."""

    event_id: str
    event_type: str
    user_id: str
    item_id: str
    timestamp: datetime
    source: str
    partition: int
    offset: int
    batch: int
    epoch: int
    ingested_at: datetime
    seq: int
    quantity: int
    session_id: str = ""
    category: str = ""
    order_id: str = ""
    order_size: int = 0
    price: float = 0.0
    properties: str = ""
    guest_id: str = ""


class ItemRow(msgspec.Struct):
    """A row of `items`."""

    item_id: str
    title: str
    category: str
    brand: str
    price: float
    available: bool
    image: str
    owner: str
    attributes: dict[str, str]
    embedding: list[float]
    version: int
    updated_at: datetime


def item_row(item: Item, version: int, now: datetime) -> ItemRow:
    """The row of an item; the highest version replaces all others."""
    return ItemRow(**msgspec.structs.asdict(item), version=version, updated_at=now)


encode_lines = msgspec.json.Encoder(decimal_format="number").encode_lines
