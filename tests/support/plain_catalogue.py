"""The catalogue in plain Python, from the definition of a partial update: the last writer of each field wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from alsobought.items import Item
from alsobought.storage.warehouse import Warehouse

EMPTY: dict[str, Any] = {
    **dict.fromkeys(("title", "category", "brand"), ""),
    **{"price": 0.0, "available": True, "stock": None, "tags": [], "titles": {}, "attributes": {}},
}
FIELDS = tuple(EMPTY)
Fields = dict[str, Any]


@dataclass
class PlainCatalogue:
    """`items` are those that the shop has sent, and not removed."""

    items: dict[str, Fields] = field(default_factory=dict)

    def post(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.removed:
                self.items.pop(item.item_id, None)
                continue
            known = {} if item.replace else self.items.get(item.item_id, {})
            self.items[item.item_id] = {name: _field(name, known.get(name, EMPTY[name]), item) for name in FIELDS}

    def category(self, item_id: str) -> str:
        return str(self.items.get(item_id, EMPTY)["category"])


def _field(name: str, before: Any, item: Item) -> Any:
    """A field of an item after a post."""
    sent = getattr(item, name)
    if sent is msgspec.UNSET:
        return before
    if sent is None:
        return EMPTY[name]
    if name not in ("titles", "attributes"):
        return sent
    changed = {} if not sent else dict(before)  # an empty object clears it
    for key, text in sent.items():
        changed.pop(key, None)
        if text is not None:
            changed[key] = text
    return changed


def stored_catalogue(warehouse: Warehouse) -> dict[str, Fields]:
    """The same from the table of items."""
    sql = f"select item_id, {', '.join(FIELDS)} from {warehouse.database}.items final where not removed"
    return {row.pop("item_id"): row for row in warehouse.rows(sql).dicts()}


def served_catalogue(warehouse: Warehouse, item_ids: Sequence[str]) -> dict[str, tuple[str, str, bool]]:
    """{item: title, category, and whether it may be shown}, from the dictionary that pipes read."""
    columns = ", ".join(
        f"dictGet('{warehouse.database}.catalogue', '{name}', cityHash64(item))"
        for name in ("title", "category", "available")
    )
    known = f"dictGet('{warehouse.database}.catalogue', 'catalogued', cityHash64(item))"
    sql = f"select arrayJoin([{', '.join(map(repr, item_ids))}]) as item, {columns} where {known}"
    return {row[0]: (row[1], row[2], bool(row[3])) for row in warehouse.trusted_rows(sql).data}
