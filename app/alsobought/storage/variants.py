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
    members: dict[int, list[str]] = field(default_factory=dict)


class CatalogueVariants:
    """Thread-safe. A read that began before `forget` fills what is forgotten."""

    def __init__(self, warehouse: Reader) -> None:
        self._warehouse = warehouse
        self._known = _Known()

    def forget(self) -> None:
        """Call it after each reload of the dictionaries `catalogue` and `variants`."""
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
        return self._read(item_ids).groups if self.exist else {}

    def with_variants(self, item_ids: Collection[str]) -> Collection[str]:
        """These items and all of their variants. Raises WarehouseFault."""
        if not self.exist:
            return item_ids
        known = self._read(item_ids)
        return {*item_ids, *(item for group in known.groups.values() for item in known.members.get(group, ()))}

    def _read(self, item_ids: Collection[str]) -> _Known:
        """What is known of these items."""
        known = self._known
        if unknown := [item for item in item_ids if item not in known.groups]:
            if len(known.groups) + len(unknown) > MAX_ITEMS:
                self._known = known = _Known(True)
                unknown = list(item_ids)
            for item, group, members in self._warehouse.rows(READ, {"items": unknown}).data:
                known.groups[item] = int(group)
                if members:
                    known.members[int(group)] = members
        return _Known(True, {item: group for item in item_ids if (group := known.groups.get(item))}, known.members)


READ = """
    select
        asked,
        if(group_key = asked_key, 0, group_key),
        arrayMap(one -> dictGet('catalogue', 'item_id', one), dictGet('variants', 'item_keys', group_key))
    from
        (
            select
                arrayJoin({items:Array(String)}) as asked,
                cityHash64(asked) as asked_key,
                dictGetOrDefault('catalogue', 'group_key', asked_key, asked_key) as group_key
        )
"""
