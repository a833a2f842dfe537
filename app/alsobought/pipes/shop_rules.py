"""The rules of sql/rules.csv that hold for a pipe on a day, and the items that each concerns.

The lists apply them in SQL (sql/macros/lists.sql); this reads the same file to explain a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from alsobought.errors import PipeFault
from alsobought.pipes.csv_files import read_csv
from alsobought.pipes.text_files import read_text

NAME = "rules.csv"
ALL_PIPES = "*"


@dataclass(frozen=True)
class ShopRule:
    """A row of the file: `action` is pin, boost or hide; it has an item or a category. `value`: a position or a factor."""

    line: int
    action: str
    item_id: str
    category: str
    value: float | None

    def concerns(self, item_id: str, category: str) -> bool:
        """True for the item itself, and for an item in the category or below it.

        >>> ShopRule(2, "boost", "", "Kitchen", 2).concerns("mug", "Kitchen/Tea")
        True
        >>> ShopRule(2, "boost", "", "Kitchen", 2).concerns("mug", "Kitchenware")
        False
        """
        return item_id == self.item_id if self.item_id else f"{category}/".startswith(f"{self.category}/")


def rules_in_force(folder: Path, pipe: str, day: date) -> list[ShopRule]:
    """Those of `folder`/rules.csv for this pipe on this day; none without the file, or where it cannot be read."""
    path = folder / NAME
    try:
        file = read_csv(NAME, read_text(path), {}) if path.exists() else None
    except (PipeFault, UnicodeDecodeError, OSError):
        return []
    names = [column.name for column in file.columns] if file else []
    rows = [(row.number, dict(zip(names, row.values, strict=True))) for row in (file.rows if file else ())]
    return [_rule(line, row) for line, row in rows if _is_in_force(row, pipe, day)]


def _is_in_force(row: Mapping[str, Any], pipe: str, day: date) -> bool:
    return row["pipe"] in (ALL_PIPES, pipe) and row["from"] <= day <= row["until"]


def _rule(line: int, row: Mapping[str, Any]) -> ShopRule:
    return ShopRule(line, row["rule"], row["item_id"] or "", row["category"] or "", row["value"])
