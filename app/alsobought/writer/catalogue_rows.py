"""Rows of `items`: what is stored of an item, with what a shop sends about it applied.

The writer is the only one that reads and writes these rows, so that no change is lost between the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from alsobought.items import Item
from alsobought.storage.sql_text import list_parameter, select_list
from alsobought.storage.warehouse import Warehouse


class ItemRow(msgspec.Struct):
    """A row of `items`. `first_seen` is the time when the first post about it was stored; `removed` rows hold nothing else."""

    item_id: str
    first_seen: datetime
    title: str = ""
    titles: dict[str, str] = {}
    category: str = ""
    brand: str = ""
    price: float = 0.0
    list_price: float = 0.0
    currency: str = ""
    available: bool = True
    stock: int | None = None
    url: str = ""
    image: str = ""
    group_id: str = ""
    tags: list[str] = []
    owner: str = ""
    attributes: dict[str, str] = {}
    embedding: list[float] = []
    published_at: datetime | None = None
    removed: bool = False
    version: int = 0
    updated_at: datetime | None = None


COLUMNS = ItemRow.__struct_fields__
DEFAULTS = msgspec.structs.asdict(ItemRow("", datetime.min))
INTERNAL = ("removed", "version")
BY_KEY = ("titles", "attributes")  # of these an item changes only the keys it names


def stored_rows(warehouse: Warehouse, item_ids: Iterable[str]) -> dict[str, ItemRow]:
    """What is stored of these items, removed ones too, by item_id. Raises WarehouseFault."""
    sql = f"select {', '.join(COLUMNS)} from {warehouse.database}.items final where item_id in ({select_list('ids')})"
    rows = warehouse.trusted_rows(sql, {"ids": list_parameter(item_ids)}).dicts()
    return {row["item_id"]: msgspec.convert(row, ItemRow, strict=False) for row in rows}


def stored_item(warehouse: Warehouse, item_id: str) -> dict[str, Any] | None:
    """The fields of an item that have a value; None if the catalogue lacks it. Raises WarehouseFault."""
    sql = f"select {', '.join(COLUMNS)} from {warehouse.database}.items final where item_id = {{id:String}} and not removed"
    for row in warehouse.rows(sql, {"id": item_id}).dicts():
        shown = {name: value for name, value in row.items() if value not in ("", [], {}, None) and name not in INTERNAL}
        return {**shown, "available": row["available"]}
    return None


def changed_rows(
    items: Sequence[Item], stored: Mapping[str, ItemRow], versions: Iterable[int], now: datetime
) -> list[ItemRow]:
    """The new row of each item, in this order: what was sent later changes what was sent before.

    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 1, tzinfo=UTC)
    >>> rows = changed_rows([Item(item_id="tea", title="Tea", price=5), Item(item_id="tea", price=6)], {}, [1, 2], now)
    >>> [(row.title, row.price, row.version) for row in rows]
    [('Tea', 5, 1), ('Tea', 6, 2)]
    """
    newest = dict(stored)
    rows = []
    for item, version in zip(items, versions, strict=True):
        row = changed_row(newest.get(item.item_id), item, version, now)
        newest[item.item_id] = row
        rows.append(row)
    return rows


def changed_row(stored: ItemRow | None, item: Item, version: int, now: datetime) -> ItemRow:
    """The row of one item. One that was removed begins anew."""
    if stored is None or stored.removed:
        stored = ItemRow(item.item_id, now)
    if item.removed:
        return ItemRow(item.item_id, stored.first_seen, available=False, removed=True, version=version, updated_at=now)
    base = ItemRow(item.item_id, stored.first_seen) if item.replace else stored
    changes: dict[str, Any] = {"version": version, "updated_at": now}
    for name in item.__struct_fields__:
        value = getattr(item, name)
        if value is UNSET or name not in DEFAULTS or name in ("item_id", "removed"):
            continue
        changes[name] = _merged(getattr(base, name), value) if name in BY_KEY and value else value
        if value is None:
            changes[name] = DEFAULTS[name]
    return msgspec.structs.replace(base, **changes)


def _merged(stored: Mapping[str, str], sent: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in {**stored, **sent}.items() if value is not None}
