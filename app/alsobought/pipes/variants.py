"""Variants, the sizes and colours of one product: what pipes and lists have to know of them.

Items with the same `group_id` are a group of variants. A list shows one item of a group; pages and fallbacks keep to that, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol


class Variants(Protocol):
    """Those of a catalogue."""

    @property
    def exist(self) -> bool:
        """False if no item is in a group."""

    def groups(self, item_ids: Collection[str]) -> Mapping[str, int]:
        """{item: its group}, of those that are in one."""

    def with_variants(self, item_ids: Collection[str]) -> Collection[str]:
        """These items and all of their variants."""


class NoVariants:
    exist = False

    def groups(self, item_ids: Collection[str]) -> Mapping[str, int]:  # noqa: ARG002
        return {}

    def with_variants(self, item_ids: Collection[str]) -> Collection[str]:
        return item_ids
