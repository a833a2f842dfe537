"""Events that come before the catalogue get the categories of their items, and so do the counts."""

from __future__ import annotations

from typing import Any

import pytest

from alsobought.counts.consistency import check
from alsobought.counts.recompute import Slots
from alsobought.errors import WarehouseFault
from alsobought.events import Event
from alsobought.items import Item
from alsobought.service.service import Service
from alsobought.writer import event_categories
from alsobought.writer.submission import Submission
from tests.conftest import NOON
from tests.support.project import ROOT
from tests.support.web import wrong_tables


def post(shop: Service, *rows: Any) -> None:
    shop.writer.submit(Submission(list(rows), waiting=True)).result(30)


def view(item_id: str, category: str = "") -> Event:
    return Event(event_type="view", user_id="ada", item_id=item_id, category=category, timestamp=NOON)


def counted(shop: Service) -> dict[str, int]:
    sql = "select category, sum(events) from {}.user_categories group by category having sum(events) != 0"
    return dict(shop.warehouse.trusted_rows(sql.format(shop.warehouse.database)).data)


def test_the_order_of_events_and_items_does_not_matter(shop: Service) -> None:
    post(shop, view("tea"), view("tea", "Gifts"), view("mug"), view("pot"))
    assert counted(shop) == {"": 3, "Gifts": 1}
    post(shop, Item(item_id="tea", category="Kitchen/Tea"), Item(item_id="mug", price=5))
    assert counted(shop) == {"": 2, "Gifts": 1, "Kitchen/Tea": 1}
    post(shop, Item(item_id="mug", category="Kitchen/Mugs"), Item(item_id="tea", category="Sale"))
    assert counted(shop) == {"": 1, "Gifts": 1, "Kitchen/Tea": 1, "Kitchen/Mugs": 1}
    assert wrong_tables(shop) == {}


@pytest.mark.thorough
def test_many_events_wait_for_a_command_and_the_check_notices(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_categories, "MAX_AT_ONCE", 1)
    post(shop, view("tea"), view("tea"))
    post(shop, Item(item_id="tea", category="Tea"))
    assert counted(shop) == {"": 2}
    assert check(shop.warehouse, shop.do, ROOT / "sql" / "checks", Slots()).events_without_category == 2
    assert shop.do("add categories") == 2
    assert counted(shop) == {"Tea": 2}
    assert check(shop.warehouse, shop.do, ROOT / "sql" / "checks", Slots()).events_without_category == 0
    assert wrong_tables(shop) == {}


def test_a_refund_of_an_item_that_nobody_bought_needs_no_category(shop: Service) -> None:
    post(shop, Event(event_type="refund", user_id="ada", item_id="tea", order_id="o1", timestamp=NOON))
    post(shop, Item(item_id="tea", category="Tea"))
    assert check(shop.warehouse, shop.do, ROOT / "sql" / "checks", Slots()).events_without_category == 0
    post(shop, view("tea"))
    assert counted(shop) == {"Tea": 1}
    assert wrong_tables(shop) == {}


@pytest.mark.parametrize("failed_at", ["begun", "item_hours", "user_categories", "changed"])
def test_what_failed_half_way_is_finished_by_the_next_lease(
    shop: Service, monkeypatch: pytest.MonkeyPatch, failed_at: str
) -> None:
    def fail(point: str) -> None:
        if point == f"categories.{failed_at}":
            raise WarehouseFault("gone")

    post(shop, view("tea"), view("tea"), view("mug"))
    with monkeypatch.context() as failing:
        failing.setattr(event_categories, "reach", fail)
        post(shop, Item(item_id="tea", category="Tea"))
    post(shop, view("pot"))
    assert counted(shop) == {"": 2, "Tea": 2}
    assert wrong_tables(shop) == {}
