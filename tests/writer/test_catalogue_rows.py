"""What is stored of an item while feeds come every night: when it was first seen, and what is new."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from alsobought.items import Item
from alsobought.service.service import Service
from alsobought.serving.answers import answer
from alsobought.writer.catalogue_rows import ItemRow, changed_row
from alsobought.writer.submission import Submission
from tests.conftest import NOON


def test_a_row_keeps_when_its_item_was_first_seen() -> None:
    first = changed_row(None, Item(item_id="tea", title="Tea"), 1, NOON)
    later = changed_row(first, Item(item_id="tea", price=5, replace=True), 2, NOON + timedelta(days=60))
    assert (later.first_seen, later.title, later.price) == (NOON, "", 5)
    removed = changed_row(later, Item(item_id="tea", removed=True), 3, NOON + timedelta(days=61))
    assert removed == ItemRow(
        "tea", NOON, available=False, removed=True, version=3, updated_at=NOON + timedelta(days=61)
    )
    again = changed_row(removed, Item(item_id="tea"), 4, NOON + timedelta(days=62))
    assert (again.first_seen, again.available) == (NOON + timedelta(days=62), True)


def test_neither_a_first_load_nor_a_nightly_feed_makes_items_new(make_shop: Callable[..., Service]) -> None:
    now = NOON
    shop = make_shop(clock=lambda: now)

    def feed(*item_ids: str) -> None:
        shop.writer.submit(Submission([Item(item_id=item_id) for item_id in item_ids], waiting=True)).result(30)

    def new_items() -> list[tuple[str, str]]:
        got = answer(shop.library, shop.warehouse, "new_items", {}, now)
        names = [column.name for column in got.meta]
        rows = [dict(zip(names, row, strict=True)) for row in got.data]
        return [(row["item_id"], row["new_since"]) for row in rows if row["new_since"]]

    def wait(days: int) -> datetime:
        return now + timedelta(days=days)

    feed("tea", "mug")
    assert new_items() == []
    now = wait(60)
    feed("tea", "mug", "pot")
    assert new_items() == [("pot", "2026-03-02")]
    now = wait(1)
    feed("tea", "mug", "pot")
    assert new_items() == [("pot", "2026-03-02")]
    now = wait(60)
    feed("tea", "mug", "pot")
    assert new_items() == []
