"""Count tables made again: afterwards each is what its events say, and until then the old one answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from app.counts import wrong_rows
from app.events import Event
from app.intake import Submission, utc_now
from app.rebuild import Rebuilt, Wanted, rebuild
from app.shop import Shop
from app.views import count_tables
from tests.fold import fold, tables
from tests.test_counts import CHECKS, _checked, _happened

COUNTED = sorted(path.stem for path in CHECKS.glob("*.sql"))
DAY = datetime(2025, 11, 20, 22, 30, tzinfo=UTC)


@contextmanager
def _no_bar(_title: str, _total: int) -> Iterator[Callable[[int], object]]:
    yield lambda _: None


def rebuilt(shop: Shop, *names: str, since: str = "") -> list[Rebuilt]:
    wanted = msgspec.convert(shop.do("plan a rebuild", names, since), list[Wanted])
    return [rebuild(shop, one, _no_bar) for one in wanted]


def happenings(first: int, count: int, **given: Any) -> list[Event]:
    """Users who come again, orders and sessions of several lines, over two months."""
    return [
        Event(
            event_id=f"n{number}",
            event_type=("purchase", "view", "purchase", "like")[number % 4],
            user_id=f"u{number * 7 % 11}",
            item_id=f"i{number * 5 % 13}",
            category=("", "Kitchen")[number % 2],
            order_id=f"o{number // 10}",
            session_id=f"s{number // 8}",
            order_size=number % 5,
            quantity=number % 3,
            price=1.25 * (number % 4),
            timestamp=DAY + timedelta(hours=3 * number % 700),
            **given,
        )
        for number in range(first, first + count)
    ]


def store(shop: Shop, events: list[Event], size: int = 40) -> None:
    for at in range(0, len(events), size):
        shop.writer.submit(Submission(events[at : at + size])).result()


def is_right(shop: Shop, events: list[Event]) -> None:
    assert tables(shop.warehouse) == fold([_happened(event) for event in events])
    assert dict(wrong_rows(shop.warehouse, CHECKS)) == dict.fromkeys(_checked(), 0)


def spoil(shop: Shop, name: str) -> None:
    """Takes some rows away and counts others twice."""
    table = next(table for table in count_tables(shop.warehouse) if table.name == name)
    full, key = f"{shop.settings.database}.{name}", table.keys[0]
    shop.warehouse.command(f"alter table {full} delete where cityHash64({key}) % 3 = 0 settings mutations_sync = 2")
    shop.warehouse.command(
        f"insert into {full} select * from {full} where cityHash64({key}) % 3 = 1 settings insert_deduplicate = 0"
    )


@pytest.fixture
def live(make_shop: Callable[..., Shop]) -> Shop:
    """A shop by the real clock, whose pieces are small."""
    return make_shop(clock=utc_now, batch_rows=50)


@pytest.mark.parametrize("name", COUNTED)
def test_a_table_that_was_spoilt_is_what_its_events_say(live: Shop, name: str) -> None:
    events = happenings(0, 400)
    store(live, events)
    spoil(live, name)
    (done,) = rebuilt(live, name)
    assert (done.events, done.went_on) == (400, 0)
    is_right(live, events)
    later = happenings(400, 100)
    store(live, later)
    is_right(live, events + later)


def test_the_tables_cover_every_count_table(live: Shop) -> None:
    assert sorted(table.name for table in count_tables(live.warehouse)) == COUNTED
