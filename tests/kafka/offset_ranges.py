"""Offset ranges of a test's own, and their checkpoints in the warehouse."""

from __future__ import annotations

from typing import Any

import msgspec

from alsobought.service.service import Service
from tests.conftest import NOON

SOURCE = "kafka:events:new"


def consumed(first: int, next_offset: int, source: str = SOURCE, partition: int = 0, **columns: Any) -> dict[str, Any]:
    """A row of `ingest_ranges` whose messages were all stored, unless other sums are given."""
    messages = next_offset - first
    outcomes = {"messages": messages, "stored": messages, "repeats": 0, "refused": 0, "noted_at": NOON} | columns
    return {"source": source, "partition": partition, "first_offset": first, "next_offset": next_offset} | outcomes


def checkpoint(shop: Service, *ranges: dict[str, Any]) -> None:
    shop.warehouse.insert("ingest_ranges", msgspec.json.Encoder().encode_lines(ranges))
