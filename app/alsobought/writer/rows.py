"""Events as rows of their table, and the encoding of rows as JSON lines."""

from __future__ import annotations

from datetime import datetime

import msgspec

from alsobought.recommendation_ids import EPOCH


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
    recommendation_id: str = ""
    position: int = 0
    placement: int = 0
    recommended_at: datetime = EPOCH


encode_lines = msgspec.json.Encoder(decimal_format="number").encode_lines
