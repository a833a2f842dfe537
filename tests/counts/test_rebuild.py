"""Rebuilt count tables equal a recompute; until then the old ones stay in service."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from alsobought.counts.rebuild import Rebuilt
from alsobought.counts.sum_checks import wrong_rows
from alsobought.errors import Unusable, WarehouseFault
from alsobought.events import Event
from alsobought.service.service import Service
from alsobought.storage.count_tables import count_tables
from alsobought.writer.submission import Submission, utc_now
from tests.counts.test_invariant import CHECKS, _happened, _order, rebuilt, right
from tests.support.fold import fold, tables

pytestmark = pytest.mark.usefixtures("known_ids")

COUNTED = sorted(path.stem for path in CHECKS.glob("*.sql"))
DAY = datetime(2025, 11, 20, 22, 30, tzinfo=UTC)


def usually(values: list[str], *usual: str) -> list[Any]:
    """Parameters of which the others are thorough: only `make faults` runs them."""
    return [pytest.param(value, marks=() if value in usual else pytest.mark.thorough) for value in values]


def happened(first: int, count: int, **given: Any) -> list[Event]:
    """Events of returning users, with orders and sessions of several lines, over two months."""
    return [
        Event(
            event_id=f"n{number}",
            event_type=("purchase", "view", "purchase", "like")[number % 4],
            user_id=f"u{number // 7 % 6}",
            item_id=f"i{number * 5 % 13}",
            category=("", "Kitchen")[number % 2],
            order_id=f"o{number // 6}",
            session_id=f"s{number // 6}",
            order_size=number % 5,
            quantity=number % 3,
            price=1.25 * (number % 4),
            timestamp=DAY + timedelta(hours=5 * number % 700),
            properties={"place": ("", "Finland", "Finland/Helsinki")[number % 3]},
            **given,
        )
        for number in range(first, first + count)
    ]


def store(shop: Service, events: list[Event], size: int = 40) -> None:
    for at in range(0, len(events), size):
        shop.writer.submit(Submission(events[at : at + size])).result()


def is_right(shop: Service, events: list[Event]) -> None:
    assert tables(shop.warehouse) == fold([_happened(event) for event in events])
    assert dict(wrong_rows(shop.warehouse, CHECKS)) == right()


def corrupt(shop: Service, name: str) -> None:
    """Deletes every second row, and counts the others twice."""
    keys = ", ".join(next(table for table in count_tables(shop.warehouse) if table.name == name).keys)
    full = f"{shop.settings.database}.{name}"
    second = (
        f"select {keys} from (select {keys}, row_number() over (order by {keys}) as nth from {full}) where nth % 2 = 0"
    )
    shop.warehouse.command(f"alter table {full} delete where ({keys}) in ({second}) settings mutations_sync = 2")
    shop.warehouse.command(f"insert into {full} select * from {full} settings insert_deduplicate = 0")


@pytest.fixture
def live(make_shop: Callable[..., Service]) -> Service:
    """A service with the real clock and small slices."""
    return make_shop(clock=utc_now, batch_rows=50)


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int, Callable[[], object]], None]:
    """`after("rebuild.backfilled", 3, action)` calls the action when that failpoint is reached for
    the third time.
    """

    def after(point: str, times: int, action: Callable[[], object]) -> None:
        reached = itertools.count(1)

        def reach(name: str) -> None:
            if name == point and next(reached) == times:
                action()

        for module in ("backfill", "rebuild", "rebuild_tasks"):
            monkeypatch.setattr(f"alsobought.counts.{module}.reach", reach)

    return after


class Interrupted(Exception):
    """Stands for Ctrl-C."""


def interrupt() -> None:
    raise Interrupted


def test_the_tests_cover_every_count_table(live: Service) -> None:
    assert sorted(table.name for table in count_tables(live.warehouse)) == COUNTED


@pytest.mark.parametrize("name", usually(COUNTED, "co_baskets"))
def test_a_corrupted_table_is_detected_and_equals_a_recompute_after_a_rebuild(live: Service, name: str) -> None:
    events = happened(0, 150)
    store(live, events)
    corrupt(live, name)
    assert dict(wrong_rows(live.warehouse, CHECKS))[name] > 0
    (done,) = rebuilt(live, name)
    assert (done.events, done.resumed) == (150, 0)
    is_right(live, events)
    later = happened(150, 20)
    store(live, later)
    is_right(live, events + later)


@pytest.mark.embedded
def test_nothing_is_left_behind(live: Service) -> None:
    store(live, happened(0, 100))
    rebuilt(live, "co_baskets", "user_items")
    sql = "select name from system.databases where startsWith(name, {database:String})"
    (databases,) = zip(*live.warehouse.trusted_rows(sql, {"database": live.settings.database}).data, strict=True)
    assert [name for name in databases if "rebuild" in name] == []


@pytest.mark.embedded
def test_an_empty_warehouse_has_nothing_to_count(live: Service) -> None:
    assert [done.events for done in rebuilt(live, *COUNTED[:3])] == [0] * 3
    is_right(live, [])


@pytest.mark.thorough
@pytest.mark.journey
@pytest.mark.parametrize("names", [["co_baskets", "item_hours"], pytest.param(COUNTED, marks=pytest.mark.thorough)])
def test_events_that_arrive_meanwhile_are_neither_lost_nor_counted_twice(live: Service, names: list[str]) -> None:
    events = happened(0, 300)
    store(live, events[:150])
    for name in names:
        corrupt(live, name)
    ended = threading.Event()

    def send() -> None:
        for at in itertools.cycle(range(150, 300, 3)):
            store(live, events[at : at + 3])  # known event_ids are dropped: the first round stores them
            if ended.is_set() and at == 297:
                return

    sending = threading.Thread(target=send)
    sending.start()
    try:
        rebuilt(live, *names)
    finally:
        ended.set()
        sending.join()
    is_right(live, events)


@pytest.mark.thorough
@pytest.mark.embedded
def test_readers_always_see_a_complete_table(live: Service) -> None:
    store(live, happened(0, 300))
    sql = f"select sum(baskets), count() > 0 from {live.settings.database}.co_baskets"
    complete = live.warehouse.rows(sql).data
    seen, ended = [], threading.Event()

    def read() -> None:
        while not ended.is_set():
            seen.append(live.warehouse.rows(sql).data)

    reading = threading.Thread(target=read)
    reading.start()
    rebuilt(live, "co_baskets")
    ended.set()
    reading.join()
    assert len(seen) > 10
    assert all(rows == complete for rows in seen)


@pytest.mark.journey
@pytest.mark.parametrize(
    "point",
    usually(
        ["rebuild.created", "rebuild.begun", "rebuild.carried_over", "rebuild.checkpointed", "rebuild.backfilled"],
        "rebuild.carried_over",
    ),
)
def test_an_interrupted_run_is_resumed(
    live: Service, after: Callable[[str, int, Callable[[], object]], None], point: str
) -> None:
    events = happened(0, 300)
    store(live, events)
    corrupt(live, "co_purchases")
    repeated = point in ("rebuild.checkpointed", "rebuild.backfilled")
    after(point, 3 if repeated else 1, interrupt)
    with pytest.raises(Interrupted):
        rebuilt(live, "co_purchases")
    later = happened(300, 60)
    store(live, later)
    (done,) = rebuilt(live, "co_purchases")
    assert (done.resumed > 0) == repeated
    is_right(live, events + later)


@pytest.mark.journey
@pytest.mark.embedded
def test_a_second_command_takes_over_and_the_first_one_ends(
    live: Service, after: Callable[[str, int, Callable[[], object]], None]
) -> None:
    events = happened(0, 300)
    store(live, events)
    corrupt(live, "co_views")
    second: list[Rebuilt] = []
    after("rebuild.checkpointed", 3, lambda: second.extend(rebuilt(live, "co_views")))
    with pytest.raises((Unusable, WarehouseFault)):
        rebuilt(live, "co_views")
    assert second[0].resumed > 0
    is_right(live, events)


@pytest.mark.thorough
@pytest.mark.parametrize("point", ["rebuild.backfilled", "rebuild.carried_over", "rebuild.checkpointed"])
@pytest.mark.parametrize("change", [("forget", "u1"), ("merge", "u1", "u2")])
def test_users_erased_or_merged_meanwhile_are_so_in_the_new_table(
    live: Service, after: Callable[[str, int, Callable[[], object]], None], point: str, change: tuple[str, ...]
) -> None:
    events = happened(0, 150)
    store(live, events)
    after(point, 1, lambda: live.do(*change))
    rebuilt(live, "co_purchases", "user_items")
    for name in ("daily_popularity", "item_totals"):  # rows of zero sums disappear when parts merge
        live.warehouse.command(f"optimize table {live.settings.database}.{name} final")
    if change[0] == "forget":
        is_right(live, [event for event in events if event.user_id != "u1"])
    else:
        becomes = msgspec.structs.replace
        is_right(live, [becomes(event, user_id="u2") if event.user_id == "u1" else event for event in events])


@pytest.mark.embedded
def test_an_erased_user_is_in_no_unfinished_shadow_table(
    live: Service, after: Callable[[str, int, Callable[[], object]], None]
) -> None:
    store(live, happened(0, 150))
    after("rebuild.backfilled", 3, interrupt)
    with pytest.raises(Interrupted):
        rebuilt(live, "user_items")
    live.do("forget", "u1")
    sql = "select name, total_rows from system.tables where database = {database:String} and name = 'user_items'"
    assert live.warehouse.trusted_rows(sql, {"database": f"{live.settings.database}_rebuild"}).data == []


@pytest.mark.thorough
@pytest.mark.embedded
@pytest.mark.parametrize(
    "name",
    usually(["co_baskets", "co_purchases", "co_views", "item_totals", "user_items", "order_items"], "co_baskets"),
)
def test_a_user_with_more_events_than_a_slice_holds_is_split(live: Service, name: str) -> None:
    lines = [*_order(130), *_order(130, kind="view"), *_order(60, "bruno"), *_order(1, "zoe")]
    store(live, lines, 50)
    corrupt(live, name)
    (done,) = rebuilt(live, name)
    assert done.events == len(lines)
    is_right(live, lines)


BUCKETED = [
    *("co_baskets", "co_purchases", "co_views", "daily_popularity", "daily_voices"),
    *("hourly_voices", "item_hours", "item_totals", "place_hours"),
]


@pytest.mark.thorough
@pytest.mark.parametrize("name", usually(BUCKETED, "co_baskets"))
def test_with_since_only_later_buckets_are_recomputed(live: Service, name: str) -> None:
    events = happened(0, 200)
    store(live, events)
    right = tables(live.warehouse)[name]
    corrupt(live, name)
    corrupted = tables(live.warehouse)[name]
    late = [msgspec.structs.replace(event, timestamp=DAY) for event in happened(200, 10)]
    rebuilt(live, name, since="2025-12-01")
    result = tables(live.warehouse)[name]
    assert {key: value for key, value in result.items() if _since(key)} == {k: v for k, v in right.items() if _since(k)}
    assert {key: value for key, value in result.items() if not _since(key)} == {
        key: value for key, value in corrupted.items() if not _since(key)
    }
    assert any(map(_since, right))
    assert corrupted != right
    store(live, late)
    rebuilt(live, name)
    is_right(live, events + late)


def _since(key: tuple[Any, ...]) -> bool:
    """True if a row of `tables` is of December or later."""
    return any(f"{part}" >= "2025-12-01" for part in key if isinstance(part, date))


@pytest.mark.embedded
@pytest.mark.parametrize("name", usually(["co_purchases", "item_hours"], "co_purchases"))
def test_late_events_of_buckets_carried_over_are_neither_lost_nor_counted_twice(
    live: Service, after: Callable[[str, int, Callable[[], object]], None], name: str
) -> None:
    events = happened(0, 150)
    late = [msgspec.structs.replace(event, timestamp=DAY) for event in happened(150, 30)]
    store(live, events)
    after("rebuild.carried_over", 1, lambda: store(live, late))
    rebuilt(live, name, since="2025-12-01")
    is_right(live, events + late)


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("name", "since", "message"),
    [
        ("co_baskets", "2026-01-15", "Use --since 2026-01-01 or --since 2026-02-01"),
        ("item_totals", "2025-12-31", "Use --since 2025-12-01 or --since 2026-01-01"),
        ("user_items", "2026-01-01", "user_items has no days or months"),
        ("nonsense", "", "There are buyer_items, co_baskets"),
    ],
)
def test_an_impossible_rebuild_is_rejected_with_a_possible_one(
    live: Service, name: str, since: str, message: str
) -> None:
    with pytest.raises(Unusable, match=message):
        rebuilt(live, name, since=since)


@pytest.mark.embedded
def test_any_day_begins_a_day(live: Service) -> None:
    assert len(rebuilt(live, "daily_popularity", "item_hours", since="2026-01-15")) == 2


@pytest.mark.embedded
def test_histories_are_rebuilt_before_the_tables_that_read_them(live: Service) -> None:
    names = [plan["table"] for plan in live.do("plan a rebuild", ["co_baskets", "item_totals", "order_items"], "")]
    assert names[0] == "order_items"


# Where old events have expired


@pytest.fixture
def expired(make_shop: Callable[..., Service]) -> tuple[Service, list[Event]]:
    """A service of three months that retains 30 days of events, and all events ever; the remaining
    ones are recent.
    """
    now = utc_now().replace(microsecond=0)
    at = [now - timedelta(days=90)]
    shop = make_shop(clock=lambda: at[0], batch_rows=50, event_retention_days=30)

    def days(first: int, count: int) -> list[Event]:
        made = happened(first, count)
        times = (at[0] - timedelta(minutes=nth) for nth in range(count))
        return [msgspec.structs.replace(event, timestamp=time) for event, time in zip(made, times, strict=True)]

    old = days(0, 100)
    store(shop, old)
    at[0] = now - timedelta(minutes=5)
    new = days(100, 100)
    store(shop, new)
    shop.warehouse.command(f"optimize table {shop.settings.database}.events final")
    (remaining,) = shop.warehouse.rows(f"select count() from {shop.settings.database}.events").data[0]
    assert remaining == 100
    return shop, old + new


@pytest.mark.embedded
@pytest.mark.parametrize(
    "name", usually([*BUCKETED, "user_items", "order_items", "buyer_items", "session_items"], "user_items")
)
def test_counts_of_expired_events_stay(expired: tuple[Service, list[Event]], name: str) -> None:
    shop, events = expired
    rebuilt(shop, name)
    assert tables(shop.warehouse) == fold([_happened(event) for event in events])
    later = happened(200, 40)
    store(shop, later)
    assert tables(shop.warehouse) == fold([_happened(event) for event in events + later])


@pytest.mark.embedded
@pytest.mark.parametrize("name", usually(["user_categories", "item_ids", "ingest_batches"], "user_categories"))
def test_after_expiry_a_table_without_storage_times_is_rejected(
    expired: tuple[Service, list[Event]], name: str
) -> None:
    with pytest.raises(Unusable, match="events expire, and its rows do not record when"):
        rebuilt(expired[0], name)
