"""A feed of the whole catalogue takes off sale what is not in it, unless it looks cut off."""

from __future__ import annotations

import pytest

from alsobought.errors import Unusable
from alsobought.items import Item
from alsobought.loading.full_feed import FullFeed
from alsobought.service.service import Service
from alsobought.writer.submission import Submission


@pytest.fixture
def five(shop: Service) -> Service:
    """A shop with the items a to e, of which e was removed."""
    items = [Item(item_id=item_id, title=item_id) for item_id in "abcde"]
    shop.writer.submit(Submission([*items, Item(item_id="e", removed=True)])).result(30)
    return shop


def feed_of(item_ids: str, max_removed: float = 0.2) -> FullFeed:
    feed = FullFeed(max_removed)
    feed.note(Item(item_id=item_id) for item_id in item_ids)
    return feed


def on_sale(shop: Service) -> str:
    sql = f"select item_id from {shop.warehouse.database}.items final where not removed and available order by item_id"
    return "".join(item_id for (item_id,) in shop.warehouse.trusted_rows(sql).data)


def test_what_is_not_in_the_feed_is_taken_off_sale(five: Service) -> None:
    feed = feed_of("abc", 0.25)
    assert feed.remove_others(five.writer, 0, dry_run=True) == "1 of 4 items would be taken off sale"
    assert on_sale(five) == "abcd"
    assert feed.remove_others(five.writer, 0) == "1 of 4 items taken off sale"
    assert on_sale(five) == "abc"
    assert feed.remove_others(five.writer, 0) == "0 of 3 items taken off sale"


def test_a_feed_that_lacks_much_of_the_catalogue_takes_nothing_off_sale(five: Service) -> None:
    with pytest.raises(Unusable) as error:
        feed_of("ab").remove_others(five.writer, 0)
    assert error.value.message == (
        "2 of 4 items of the catalogue (50 %) are not in the feed: nothing is taken off sale"
    )
    assert error.value.hint == "Is the feed complete? If it is, pass --max-removed 50"
    assert on_sale(five) == "abcd"


def test_a_feed_with_rejected_rows_takes_nothing_off_sale(five: Service) -> None:
    with pytest.raises(Unusable, match="since 3 rows were rejected"):
        feed_of("abc", 1).remove_others(five.writer, 3)
    assert on_sale(five) == "abcd"


def test_an_item_that_the_feed_removes_is_not_in_it(five: Service) -> None:
    feed = feed_of("abc", 1)
    feed.note([Item(item_id="d", removed=True)])
    assert feed.remove_others(five.writer, 0) == "1 of 4 items taken off sale"
