"""The variants in the catalogue: read when first asked for, and again after the catalogue has changed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from alsobought.storage.warehouse import Reader

MAX_ITEMS = 100_000  # whose groups are held in memory


@dataclass
class _Known:
    exist: bool | None = None
    groups: dict[str, int] = field(default_factory=dict)
    """0 for an item without a group."""


class CatalogueVariants:
    """Thread-safe. A read that began before `forget` fills what is forgotten."""

    def __init__(self, warehouse: Reader) -> None:
        self._warehouse = warehouse
        self._known = _Known()

    def forget(self) -> None:
        """Call it after each reload of the dictionary `catalogue`."""
        self._known = _Known()

    @property
    def exist(self) -> bool:
        """False if no item is in a group. Raises WarehouseFault."""
        known = self._known
        if known.exist is None:  # without FINAL: a replaced row with a group costs time, no correctness
            known.exist = bool(self._warehouse.rows("select 1 from items where group_id != '' limit 1").data)
        return known.exist

    def groups(self, item_ids: Collection[str]) -> Mapping[str, int]:
        """{item: its group}, of those that are in one. Raises WarehouseFault."""
        if not self.exist:
            return {}
        known = self._known.groups
        if unknown := [item for item in item_ids if item not in known]:
            if len(known) + len(unknown) > MAX_ITEMS:
                known.clear()
            known |= self._read(unknown)
        return {item: group for item in item_ids if (group := known.get(item))}

    def _read(self, item_ids: list[str]) -> dict[str, int]:
        sql = """
            select
                item_id,
                dictGetOrDefault('catalogue', 'group_key', cityHash64(item_id), cityHash64(item_id)) as group_key,
                if(group_key = cityHash64(item_id), 0, group_key) as variant_of
            from (select arrayJoin({items:Array(String)}) as item_id)
        """
        return {row[0]: int(row[2]) for row in self._warehouse.rows(sql, {"items": item_ids}).data}
