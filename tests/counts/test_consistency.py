"""`alsobought check` reports every wrong row and no other, whatever the service does meanwhile."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from alsobought.counts.consistency import Checked, check, sample_of
from alsobought.counts.recompute import SLOTS, Checks, Comparison, Difference, Slots
from alsobought.errors import Busy, Unusable
from alsobought.events import Event
from alsobought.service.service import Service
from alsobought.storage.count_tables import CountTable, count_tables
from alsobought.storage.warehouse import Warehouse
from alsobought.writer.submission import Submission
from tests.support.process import Run, assert_error, running, serving, write
from tests.support.project import ROOT
from tests.support.recommended import LISTS

pytestmark = pytest.mark.usefixtures("known_ids")

CHECKS = ROOT / "sql" / "checks"
START = datetime(2025, 11, 30, 22, 30, tzinfo=UTC)
KINDS = ["purchase", "purchase", "view", "view", "like"]
# A row for each table that no event made.
EXTRA = {
    "user_items": "'ghost', 'i1', 'view', 1, 1, 1, now64(3), now64(3)",
    "item_users": "1, 'ghost', 'view', '', 1, now64(3)",
    "order_items": "1, 2, 3",
    "buyer_items": "1, 2, 3",
    "session_items": "1, 2, 3",
    "item_ids": "1, 'ghost'",
    "ingest_batches": "7, 7, 'post', 0, 1, 2, 3, now64(3)",
    "user_categories": "'ghost', 'Tea', 'view', 2",
    "user_days": "'ghost', '2026-01-01', 'view', 1, 2, 3, 3",
    "touches": "'2026-01-01', 'ghost', 'r', 1, 'click', 2, now64(3), 1, 's', now64(3), 3, 1",
    "item_hours": "'2026-01-01 10:00:00', 'view', 1, 'Tea', 2",
    "place_hours": "'Finland', '2026-01-01 10:00:00', 'view', 1, 2",
    "daily_voices": "'2026-01-01', 'view', 1, 2",
    "hourly_voices": "'Finland', '2026-01-01 10:00:00', 'view', 1, 2",
    "co_baskets": "1, 2, '2026-01-01', 2, 5",
    "co_purchases": "1, 2, '2026-01-01', 2",
    "co_views": "1, 2, '2026-01-01', 2",
    "item_totals": "1, '2026-01-01', 2, 0, 0",
    "daily_popularity": "'2026-01-01', 'view', 1, 2, 0, 0, 0.01",
}
SUMS = {
    "user_categories": "events",
    "item_hours": "events",
    "co_baskets": "weight",
    "co_purchases": "buyers",
    "co_views": "sessions",
    "item_totals": "sessions",
    "daily_popularity": "revenue",
}


def happened(number: int, first: int = 0, at: datetime = START, users: int = 7) -> list[Event]:
    """Events of a few users who buy and view the same items in orders and sessions."""
    return [
        Event(
            event_id=f"e{n}",
            event_type=KINDS[n % len(KINDS)],
            user_id=f"u{n * n % users}",
            item_id=f"i{n * 3 % 11}",
            category=("Tea", "Mugs", "")[n % 3],
            order_id=f"o{n % 4}" if n % 5 else "",
            order_size=n % 5,
            session_id=f"s{n % 3}",
            quantity=n % 3,
            price=1.25 * (n % 4),
            properties={"place": f"Service {n % 2}"},
            timestamp=at + timedelta(minutes=7 * (n - first)),
            recommendation_id=next(iter(LISTS)),
        )
        for n in range(first, first + number)
    ]


def store(shop: Service, events: list[Event]) -> None:
    shop.writer.submit(Submission(events)).result()


@contextmanager
def beside(shop: Service) -> Iterator[Warehouse]:
    """The warehouse through connections other than the writer's."""
    other = shop.warehouse.another()
    try:
        yield other
    finally:
        other.close()


def checked(shop: Service, slots: Slots = Slots(), **given: Any) -> Checked:  # noqa: B008
    with beside(shop) as warehouse:
        return check(warehouse, shop.do, CHECKS, slots, **{"only": list(EXTRA), **given})


def wrong_tables(shop: Service, slots: Slots = Slots(), **given: Any) -> dict[str, Comparison]:  # noqa: B008
    """{table: its comparison} where rows are wrong."""
    return {one.table: one for one in checked(shop, slots, **given).tables if one.wrong}


def databases(shop: Service) -> list[str]:
    """The scratch databases of this service."""
    sql = "select name from system.databases where startsWith(name, {name:String})"
    return [row[0] for row in shop.warehouse.trusted_rows(sql, {"name": f"{shop.settings.database}_"}).data]


def insert(shop: Service, table: str, values: str) -> None:
    shop.warehouse.command(f"insert into {shop.settings.database}.{table} values ({values})")


def tables_of(shop: Service) -> dict[str, CountTable]:
    return {table.name: table for table in count_tables(shop.warehouse)}


# Detection


def test_every_count_table_has_a_check_that_passes(shop: Service) -> None:
    store(shop, happened(200))
    all_of_it = checked(shop)
    assert {one.table for one in all_of_it.tables} == set(EXTRA) == {path.stem for path in CHECKS.glob("*.sql")}
    assert [one for one in all_of_it.tables if one.wrong or one.worst or one.since or one.note or not one.rows] == []
    assert all_of_it.sample == 1
    assert databases(shop) == []


def test_superfluous_rows_are_detected(shop: Service) -> None:
    store(shop, happened(60))
    right = {one.table: one.rows for one in checked(shop).tables}
    for table, values in EXTRA.items():
        insert(shop, table, values)
    wrong = wrong_tables(shop)
    assert {table: (one.rows, one.wrong) for table, one in wrong.items()} == {
        table: (rows + 1, 1) for table, rows in right.items()
    }
    for table, one in wrong.items():
        (difference,) = one.worst
        assert difference.events is None
        assert tuple(difference.key) == tables_of(shop)[table].keys
        assert difference.table
        assert tuple(difference.table) == tuple(tables_of(shop)[table].values)


def test_missing_rows_are_detected(shop: Service) -> None:
    store(shop, happened(30))
    store(shop, happened(30, 30))  # an emptied table would keep its memory of batches for the next test
    for table in EXTRA:
        name, keys = f"{shop.settings.database}.{table}", ", ".join(tables_of(shop)[table].keys)
        gone = f"({keys}) in (select {keys} from {name} order by all limit 1)"
        shop.warehouse.command(f"alter table {name} delete where {gone} settings mutations_sync = 2")
    wrong = wrong_tables(shop)
    assert {table: (one.wrong, len(one.worst)) for table, one in wrong.items()} == dict.fromkeys(EXTRA, (1, 1))
    for one in wrong.values():
        assert one.worst[0].table is None
        assert one.worst[0].events


@pytest.mark.parametrize("much", [1, -1])
def test_wrong_sums_are_detected_with_the_right_value(shop: Service, much: int) -> None:
    store(shop, happened(60))
    for table, value in SUMS.items():
        name, keys = f"{shop.settings.database}.{table}", ", ".join(tables_of(shop)[table].keys)
        plant = f"select {keys}, {much} from {name} order by all limit 1"
        shop.warehouse.command(f"insert into {name} ({keys}, {value}) {plant}")
    wrong = wrong_tables(shop)
    assert {table: (one.wrong, len(one.worst)) for table, one in wrong.items()} == dict.fromkeys(SUMS, (1, 1))
    for table, one in wrong.items():
        stored, made = (side[SUMS[table]] if side else 0 for side in (one.worst[0].table, one.worst[0].events))
        assert float(stored) - float(made) == much


def test_wrong_first_and_last_values_are_detected(shop: Service) -> None:
    store(shop, happened(60))
    plants = [
        ("user_items", "last_seq + 1 as last_seq"),
        ("user_items", "first_time - 1 as first_time"),
        ("user_items", "1 as events"),
        ("order_items", "first_seq - 1 as first_seq"),
    ]
    for nth, (table, moved) in enumerate(plants):
        name = f"{shop.settings.database}.{table}"
        row = f"select * replace ({moved}) from {name} order by all limit 1 offset {5 * (nth % 3)}"
        shop.warehouse.command(f"insert into {name} {row}")
    assert {table: one.wrong for table, one in wrong_tables(shop).items()} == {"user_items": 3, "order_items": 1}


def test_the_worst_differences_come_first(shop: Service) -> None:
    store(shop, happened(60))
    for much in range(1, 9):
        insert(shop, "user_categories", f"'ghost{much}', '', 'view', {much * (-1) ** much}")
    worst = wrong_tables(shop)["user_categories"]
    assert worst.wrong == 8
    assert worst.worst == [
        Difference({"user_id": f"ghost{n}", "category": "", "event_type": "view"}, {"events": n * (-1) ** n}, None)
        for n in (8, 7, 6, 5, 4)
    ]


def test_only_the_given_tables_are_compared_and_an_unknown_one_is_rejected(shop: Service) -> None:
    store(shop, happened(20))
    insert(shop, "item_hours", EXTRA["item_hours"])
    assert wrong_tables(shop, only=["co_baskets", "order_items"]) == {}
    assert [one.table for one in checked(shop, only=["co_baskets", "order_items"]).tables] == [
        "order_items",
        "co_baskets",
    ]
    with pytest.raises(Unusable, match=r"no count table 'co_basket'\. Did you mean co_baskets\?"):
        checked(shop, only=["co_basket"])
    with pytest.raises(Unusable, match="There are buyer_items, "):
        checked(shop, only=["xyz"])
    assert databases(shop) == []


@pytest.mark.thorough
def test_many_steps_give_the_result_of_one(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    store(shop, happened(60))
    for table, values in EXTRA.items():
        insert(shop, table, values)
    once = checked(shop).tables
    monkeypatch.setattr("alsobought.counts.recompute.ROWS_PER_STEP", 40)
    steps: list[tuple[int, int]] = []
    again = checked(shop, progress=lambda done, total: steps.append((done, total))).tables
    assert again == once
    assert [one.wrong for one in again] == [1] * len(EXTRA)
    assert steps[-1][0] == steps[-1][1] == len(steps) - 1 > len(EXTRA) + 5


# Samples


def test_a_sample_is_exact_and_detects_the_wrong_rows_in_it(shop: Service) -> None:
    store(shop, happened(120))
    checks = Checks(shop.warehouse, shop.settings.database, CHECKS)
    shares = [Slots(0, 500, 500 * nth) for nth in range(SLOTS // 500)]
    assert shares[0].is_small
    for table in tables_of(shop).values():
        samples = [checks.compare(table, [slots]) for slots in shares]
        assert [one for one in samples if one.wrong] == []
        assert sum(one.rows for one in samples) == checks.compare(table, [Slots()]).rows, "together they are all"
        if table.name in ("co_baskets", "item_totals", "user_items"):
            insert(shop, table.name, EXTRA[table.name])
            assert sorted(checks.compare(table, [slots]).wrong for slots in shares) == [0] * 19 + [1]


@pytest.mark.parametrize("text", ["", "1", "0%", "0.001%", "101%", "-1%", "1 in 5", "nan%", "1e1%", "%"])
def test_an_invalid_sample_is_rejected(text: str) -> None:
    with pytest.raises(Unusable, match=r"is not a valid --sample\. Give a share of the rows, such as 1%"):
        sample_of(text)


@pytest.mark.parametrize(("text", "slots"), [("1%", 100), ("0.5%", 50), ("10 %", 1000), ("100%", SLOTS), ("0.01%", 1)])
def test_a_share_is_a_random_sample(text: str, slots: int) -> None:
    samples = [sample_of(text) for _ in range(9)]
    assert {(one.first, one.end) for one in samples} == {(0, slots)}
    assert len({one.shift for one in samples}) > 1


# While the service runs


def test_a_service_that_stores_all_the_time_is_never_reported_as_wrong(shop: Service) -> None:
    ended, stored = threading.Event(), itertools.count()

    def buy() -> None:
        while not ended.is_set():
            store(shop, happened(40, 40 * next(stored), users=500))

    buyer = threading.Thread(target=buy)
    buyer.start()
    try:
        compared = 0
        for nth in range(3):
            slots = Slots() if nth % 2 else Slots(0, 1000, 500 * nth)
            one = checked(shop, slots)
            assert [table for table in one.tables if table.wrong] == []
            compared += sum(table.rows for table in one.tables)
    finally:
        ended.set()
        buyer.join()
    assert next(stored) > 6
    assert compared > 500
    assert wrong_tables(shop) == {}


def test_a_snapshot_does_not_see_what_is_stored_or_merged_meanwhile(shop: Service) -> None:
    store(shop, happened(60))

    def meanwhile(done: int, _total: int) -> None:
        if done in (0, 4):
            store(shop, happened(60, 100 * (done + 1)))
            shop.warehouse.command(f"optimize table {shop.settings.database}.co_purchases final")
            shop.warehouse.command(f"optimize table {shop.settings.database}_check.co_baskets final")

    assert [one.table for one in checked(shop, progress=meanwhile).tables if one.wrong] == []


def test_the_snapshot_of_a_killed_check_is_dropped_by_the_next(shop: Service) -> None:
    store(shop, happened(20))
    left = f"{shop.settings.database}_check"
    assert shop.do("snapshot", "check") == {"database": left, "horizon": 0}
    assert databases(shop) == [left]
    store(shop, happened(20, 100))
    assert wrong_tables(shop) == {}
    assert databases(shop) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_stopped_check_leaves_no_snapshot(shop: Service, error: type[BaseException]) -> None:
    store(shop, happened(20))

    def stop(done: int, _total: int) -> None:
        if done == 2:
            raise error

    with pytest.raises(error):
        checked(shop, progress=stop)
    assert databases(shop) == []


def test_a_second_check_is_rejected_and_does_no_harm(shop: Service) -> None:
    store(shop, happened(20))
    database = shop.do("snapshot", "check")["database"]
    slow = f"select sleepEachRow(0.5) from {database}.events limit 4 settings max_block_size = 1, max_threads = 1"
    with beside(shop) as warehouse:
        first = threading.Thread(target=warehouse.trusted_rows, args=(slow,))
        first.start()
        try:
            with pytest.raises(Busy, match="a check is in progress"):
                for _ in range(50):
                    _until_read(shop, database)
                    checked(shop)
        finally:
            first.join()
    assert wrong_tables(shop) == {}


def _until_read(shop: Service, database: str) -> None:
    sql = "select count() from system.processes where position(query, {name:String}) > 0"
    for _ in range(1000):
        if shop.warehouse.trusted_rows(sql, {"name": f"{database}.events"}).data[0][0]:
            return
    raise AssertionError("no query reads the snapshot")


# Where events have expired


@pytest.fixture
def expired(make_shop: Callable[..., Service]) -> tuple[Service, datetime]:
    """A service with the counts of forty days and the events of the last ten, and the end of the
    forty.

    Retention is ten years and the clock is advanced at the end, so that the engine, which uses the
    real clock, deletes none itself.
    """
    clock = [datetime(2025, 12, 30, 0, 30, tzinfo=UTC)]
    shop = make_shop(clock=lambda: clock[0], event_retention_days=3650)
    for day in range(0, 40, 2):
        clock[0] += timedelta(days=2)
        store(shop, happened(40, day * 20, clock[0] + timedelta(hours=day % 50 - 30), users=5 + day))
    end = clock[0]
    clock[0] += timedelta(days=3640)
    since = shop.do("snapshot", "check")["horizon"]
    shop.warehouse.command(f"drop database {shop.settings.database}_check")
    delete = f"alter table {shop.settings.database}.events delete where seq < {since} settings mutations_sync = 2"
    shop.warehouse.command(delete)
    return shop, end


def test_after_expiry_the_remaining_events_are_compared_with_the_time_they_begin(
    expired: tuple[Service, datetime],
) -> None:
    shop, end = expired
    certain = end - timedelta(days=10) + timedelta(hours=1)
    for one in checked(shop).tables:
        assert one.wrong == 0, one
        assert one.rows > 0 or one.table == "touches", one  # whose ids are too old by now
        assert one.since
        assert abs(one.since - certain - timedelta(days=1 if tables_of(shop)[one.table].bucket else 0)) < timedelta(
            seconds=2
        )


@pytest.mark.thorough
def test_after_expiry_recent_wrong_counts_are_reported_and_older_ones_are_not(
    expired: tuple[Service, datetime],
) -> None:
    shop, _ = expired
    timed = [table for table in tables_of(shop).values() if table.bucket]
    assert len(timed) == 10
    by_day = ("daily_popularity", "daily_voices", "hourly_voices", "item_hours", "place_hours", "user_days")
    for late in (False, True):
        for table in timed:
            bucket = "2026-02-09" if late and table.name in by_day else f"2026-0{1 + late}-01"
            row = {**dict.fromkeys(table.types, "1"), table.bucket: f"'{bucket}'", "event_type": "'view'"}
            insert(shop, table.name, ", ".join(row[column] for column in table.types))
        assert list(wrong_tables(shop)) == [table.name for table in timed if late]


@pytest.mark.thorough
def test_after_expiry_recent_rows_of_histories_are_compared(expired: tuple[Service, datetime]) -> None:
    shop, end = expired
    late = int(end.timestamp() * 1_000_000)
    insert(shop, "buyer_items", "5, 5, 5")
    insert(shop, "user_items", "'old', 'i1', 'view', 1, 5, 5, now64(3), now64(3)")
    insert(shop, "user_categories", "'old', 'Tea', 'view', 9")
    insert(shop, "item_ids", "5, 'old'")
    insert(shop, "ingest_batches", "5, 5, 'post', 0, 5, 5, 1, now64(3)")
    assert wrong_tables(shop) == {}
    insert(shop, "buyer_items", f"5, 6, {late}")
    insert(shop, "user_items", f"'new', 'i1', 'view', 1, {late}, {late}, now64(3), now64(3)")
    insert(shop, "user_categories", "'new', 'Tea', 'view', 9")
    insert(shop, "ingest_batches", f"{late + 1}, 5, 'post', 0, 5, 5, 1, now64(3)")
    assert sorted(wrong_tables(shop)) == ["buyer_items", "ingest_batches", "user_categories", "user_items"]


# The command


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Commands on a folder with some events."""
    folder = tmp_path_factory.mktemp("check")
    run = running(folder / "data")
    lines = [msgspec.to_builtins(event) for event in happened(50)]
    assert run("load", "events", write(folder / "e.ndjson", *lines)).status == 0
    return run


def test_the_command_prints_a_report_and_exits_with_zero(run: Run) -> None:
    ran = run("check", "--sample", "50%")
    assert (ran.status, ran.err) == (0, "")
    assert "50.00% of the keys" in ran.out
    assert_error(run("check", "--table", "co_basket"), "no count table 'co_basket'. Did you mean co_baskets?")
    assert_error(run("check", "--sample", "half"), "'half' is not a valid --sample")


def test_beside_a_running_service_wrong_rows_are_reported_with_the_command_that_corrects_them(run: Run) -> None:
    with serving(run) as service:
        assert run("check").status == 0
        run.python(
            """
            from alsobought.settings import from_environment
            from alsobought.service.ipc_client import reach_warehouse
            warehouse = reach_warehouse(from_environment())
            for table in ("item_hours (hour, item_key, events)", "order_items (order_key, item_key, first_seq)"):
                warehouse.command(f"insert into alsobought.{table} values (7, 8, 9)")
            warehouse.close()
            """
        )
        ran = run("check", "--json")
        document = json.loads(ran.out)
        assert ran.status == 1
        assert (document["events_without_category"], document["purchases_not_refunded"]) == (0, 0)
        wrong = [one for one in document["tables"] if one["wrong"]]
        assert [(one["table"], one["wrong"]) for one in wrong] == [("order_items", 1), ("item_hours", 1)]
        assert wrong[0] == {
            "table": "order_items",
            "compared": True,
            "rows": wrong[0]["rows"],
            "wrong": 1,
            "worst": [{"key": {"order_key": 7, "item_key": 8}, "table": {"first_seq": 9}, "events": None}],
            "since": None,
            "note": "",
        }
        ran = run("check", "--table", "order_items", "--table", "item_hours", "--table", "co_baskets")
        assert ran.status == 1
        assert "order_key=7 item_key=8: table has first_seq=9, events give none" in ran.out
        assert ran.out.endswith("  alsobought rebuild order_items\n  alsobought rebuild item_hours\n")
        assert service.ask("/healthz")[0] == 200
