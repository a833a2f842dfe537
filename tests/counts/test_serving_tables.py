"""Serving tables have the rows that their SELECTs give, whatever happens: batches, kills, merges, rebuilds, learned tables."""

from __future__ import annotations

import math
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient

from alsobought.counts.consistency import check
from alsobought.counts.rebuild_tasks import refresh_serving_tables
from alsobought.counts.recompute import Comparison
from alsobought.errors import Unusable
from alsobought.events import Event
from alsobought.service.service import Service
from alsobought.serving.cache import MAX_STALENESS_SECONDS
from alsobought.storage.results import plain_type
from alsobought.storage.serving_tables import ServingTable, in_part, serving_tables, with_keys
from alsobought.writer import serving_refresh
from alsobought.writer.serving_refresh import ServingRefresh
from alsobought.writer.submission import Submission
from alsobought.writer.writer import Writer
from tests.counts.test_consistency import happened
from tests.counts.test_invariant import rebuilt
from tests.support.project import ROOT

CHECKS = ROOT / "sql" / "checks"
NAMES = sorted(path.stem for path in (ROOT / "sql" / "serving").glob("*.sql"))
HALVES = [("item_key", 0, 2), ("item_key", 1, 2)]


def store(shop: Service, events: list[Event]) -> None:
    shop.writer.submit(Submission(events)).result()


def compared(shop: Service) -> dict[str, Comparison]:
    other = shop.warehouse.another()
    try:
        return {one.table: one for one in check(other, shop.do, CHECKS, only=NAMES).tables}
    finally:
        other.close()


def wrong(shop: Service) -> dict[str, int]:
    return {name: one.wrong for name, one in compared(shop).items() if one.wrong}


def count(shop: Service, table: str) -> int:
    return int(shop.warehouse.trusted_rows(f"select count() from {shop.settings.database}.{table}").data[0][0])


def positions(shop: Service) -> dict[str, int]:
    sql = f"select name, seq from {shop.settings.database}.serving_positions final"
    return {name: int(seq) for name, seq in shop.warehouse.trusted_rows(sql).data}


def test_every_definition_gives_the_columns_of_its_table(shop: Service) -> None:
    tables = serving_tables(ROOT, shop.settings.database)
    assert sorted(table.name for table in tables) == NAMES
    schema = shop.warehouse.schema()
    for table in tables:
        columns = shop.warehouse.trusted_rows(f"describe ({table.select(in_part(table.key, 0, 1))})").data
        found = [(name, plain_type(kind).replace("LowCardinality(String)", "String")) for name, kind, *_ in columns]
        assert [name for name, _ in found] == list(schema[table.name])
        sql = "select cast(x as {}) from (select {} as x from ({}) limit 0)"
        for name, kind in schema[table.name].items():
            shop.warehouse.trusted_rows(sql.format(plain_type(kind), name, table.select(in_part(table.key, 0, 1))))


def test_definitions_come_after_those_they_read() -> None:
    names = [table.name for table in serving_tables(ROOT, "shop")]
    assert names.index("item_companions") < names.index("item_wanted")


def test_a_definition_without_a_key_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "sql" / "serving"
    folder.mkdir(parents=True)
    (folder / "lists.sql").write_text("select 1")
    with pytest.raises(Unusable, match=r"lists\.sql does not say whose rows it makes"):
        serving_tables(tmp_path, "shop")
    (folder / "lists.sql").write_text("-- Lists.\n--\n-- @key item_key\nselect {{ nonsense }}")
    with pytest.raises(Unusable, match=r"lists\.sql does not render: 'nonsense' is undefined"):
        serving_tables(tmp_path, "shop")


def test_each_batch_makes_the_rows_that_its_events_touch(shop: Service) -> None:
    for first in range(0, 90, 15):
        store(shop, happened(15, first))
        assert wrong(shop) == {}
    assert all(one.rows for one in compared(shop).values())


def test_missing_superfluous_and_wrong_rows_are_found_and_made_right(shop: Service) -> None:
    store(shop, happened(60))
    database = shop.settings.database
    shop.warehouse.command(f"insert into {database}.item_companions values (7, [(8, 1, 0.5)])")
    shop.warehouse.command(f"alter table {database}.user_history delete where user_id = 'u1'")
    shop.warehouse.command(
        f"insert into {database}.item_wanted select item_key, false, [] from {database}.item_wanted limit 2"
    )
    found = compared(shop)
    assert {name: one.wrong for name, one in found.items()} == {
        "item_companions": 1,
        "item_wanted": 3,  # 2, and the row of the superfluous one, which should have a row
        "user_history": 1,
    }
    assert found["item_companions"].worst[0].key == {"item_key": "7"}
    assert found["item_companions"].worst[0].table == {"companions": "[(8,1,0.5)]"}
    assert found["item_companions"].worst[0].events is None
    assert found["user_history"].worst[0].table is None
    shop.do("make serving tables", NAMES)
    assert wrong(shop) == {}


def test_a_crash_before_the_rows_are_made_is_caught_up_by_the_next_start(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(shop, happened(30))
    shop.writer.stop()
    with monkeypatch.context() as patch:
        patch.setattr(ServingRefresh, "_find_rows", lambda _: None)
        patch.setattr(ServingRefresh, "_step", lambda _: None)
        patch.setattr(ServingRefresh, "record", lambda _: None)
        patch.setattr(ServingRefresh, "pending", 0)
        writer = Writer(shop.warehouse, shop.settings)
        writer.start()
        writer.submit(Submission(happened(30, 30))).result()
        writer.stop()
    assert dict.fromkeys(NAMES) == dict.fromkeys(positions(shop))
    before = positions(shop)
    restarted = Writer(shop.warehouse, shop.settings)
    restarted.start()
    restarted.stop()
    assert min(positions(shop).values()) > max(before.values())
    store_again(shop)
    assert wrong(shop) == {}


def store_again(shop: Service) -> None:
    """Gives the service a writer that runs, after the test stopped it."""
    shop.__dict__["writer"] = Writer(shop.warehouse, shop.settings)
    shop.writer.start()


def test_another_definition_makes_all_rows_again(shop: Service) -> None:
    store(shop, happened(60))
    shop.writer.stop()
    database = shop.settings.database
    shop.warehouse.command(f"truncate table {database}.user_history")
    shop.warehouse.command(
        f"insert into {database}.serving_positions (name, definition, seq)"
        f" select 'user_history', 'another', max(seq) from {database}.events"
    )
    store_again(shop)
    assert count(shop, "user_history") == 4
    assert wrong(shop) == {}


def test_rows_of_a_large_batch_wait_until_the_writer_is_idle(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alsobought.writer.writer.SMALL_BATCH_ROWS", 10)
    monkeypatch.setattr("alsobought.writer.writer.REFRESH_SHARE", 0.0)
    monkeypatch.setattr("alsobought.writer.writer.IDLE_SECONDS", 3600.0)
    store(shop, happened(60))
    assert shop.writers[0].serving.pending
    assert count(shop, "user_history") == 0
    assert positions(shop) == {}
    while shop.do("refresh serving tables", 0.1):
        pass
    assert wrong(shop) == {}
    assert positions(shop).keys() == set(NAMES)


@pytest.mark.thorough
def test_a_list_is_mended_as_it_would_be_made(
    make_shop: Callable[..., Service], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists of four companions: pairs come into them, and drop out of them again."""
    shop = make_shop()
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    constants = tmp_path / "sql" / "macros" / "constants.sql"
    constants.write_text(constants.read_text().replace("max_pairs = 300", "max_pairs = 4"))
    shop.writers[0].serving.__init__(shop.warehouse, tmp_path)  # type: ignore[misc]
    table = shop.writers[0].serving.tables[0]
    assert table.name == "item_companions"
    mended: list[bool] = []
    make = ServingTable.make

    def counted_make(self: ServingTable, *arguments: Any, **options: Any) -> None:
        mended.append(bool(options["changed"]))
        make(self, *arguments, **options)

    monkeypatch.setattr(ServingTable, "make", counted_make)
    draw = random.Random(4)
    for number in range(25):
        orders = [f"o{draw.randrange(number + 1)}" for _ in range(draw.choice([1, 3]))]  # some are of earlier batches
        lines = [(order, f"i{int(12 * draw.random() ** 2)}") for order in orders for _ in range(draw.randrange(1, 4))]
        store(
            shop,
            [
                Event(event_type="purchase", user_id="ada", order_id=order, order_size=draw.randrange(5), item_id=item)
                for order, item in lines
            ],
        )
        kept, counted = (
            shop.warehouse.trusted_rows(
                f"select item_key, arrayMap(one -> (one.1, one.2, one.3), companions) from ({source}) order by item_key"
            ).data
            for source in (
                f"select * from {shop.settings.database}.item_companions",
                table.select(in_part("item_key", 0, 1)),
            )
        )
        assert kept == counted
    assert max(len(companions) for _, companions in kept) == 4
    assert sum(mended) > 20


def test_rows_that_lack_an_earlier_batch_are_not_mended(shop: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def order(order_id: str, *items: str) -> list[Event]:
        return [Event(event_type="purchase", user_id="ada", order_id=order_id, item_id=item) for item in items]

    with monkeypatch.context() as patch:
        patch.setattr(ServingRefresh, "_make_rows", lambda *_: shop.warehouse.command("insert into nowhere select 1"))
        store(shop, order("o1", "tea", "mug"))
    store(shop, order("o2", "tea", "pot"))
    assert wrong(shop) == {}


def test_an_answer_computed_before_its_rows_were_made_does_not_stay(
    shop: Service, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def viewed(more: str = "") -> list[str]:
        answer: Any = client.get(f"/pipes/recently_viewed?user_id=ada{more}").json
        return [row["item_id"] for row in answer["data"]]

    store(shop, [Event(event_type="view", user_id="ada", item_id="tea")])
    assert viewed() == ["tea"]
    with monkeypatch.context() as patch:
        patch.setattr(ServingRefresh, "_make_rows", lambda *_: shop.warehouse.command("insert into nowhere select 1"))
        store(shop, [Event(event_type="view", user_id="ada", item_id="mug")])
        assert viewed("&fresh=true") == ["tea"]
    shop.do("refresh serving tables", 10)
    time.sleep(MAX_STALENESS_SECONDS)
    assert viewed() == ["mug", "tea"]


def test_a_refusing_warehouse_delays_the_rows_and_fails_no_batch(
    shop: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        shop.warehouse.command("insert into nowhere select 1")

    with monkeypatch.context() as patch:
        patch.setattr(ServingRefresh, "_make", refuse)
        store(shop, happened(20))
        assert shop.writers[0].serving.pending
    shop.do("refresh serving tables", 10)
    assert wrong(shop) == {}


def test_a_rebuilt_or_learned_table_makes_the_tables_again_that_read_it(shop: Service) -> None:
    store(shop, happened(60))
    database = shop.settings.database
    shop.warehouse.command(f"truncate table {database}.item_companions")
    rebuilt(shop, "co_baskets")
    while shop.do("refresh serving tables", 1):
        pass
    assert wrong(shop) == {}
    assert count(shop, "item_companions") > 0
    replacement = f"{database}_learn.item_neighbours__1"
    shop.warehouse.command(f"create database {database}_learn")
    shop.warehouse.command(f"create table {replacement} as {database}.item_neighbours")
    shop.warehouse.command(f"insert into {replacement} values (cityHash64('i1'), [(cityHash64('i2'), 0.5)])")
    shop.do("swap in a learned table", "item_neighbours", replacement)
    assert wrong(shop) == {}
    sql = f"select wanted = [(cityHash64('i2'), 0.5)] from {database}.item_wanted where item_key = cityHash64('i1')"
    assert shop.warehouse.trusted_rows(sql).data == [[1]]
    shop.warehouse.command(f"drop database {database}_learn sync")


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_the_parts_of_a_table_hold_every_key_once(shop: Service, parts: int) -> None:
    store(shop, happened(60))
    for table in serving_tables(ROOT, shop.settings.database):
        rows = [
            int(
                shop.warehouse.trusted_rows(f"select count() from ({table.select(in_part(table.key, n, parts))})").data[
                    0
                ][0]
            )
            for n in range(parts)
        ]
        assert sum(rows) == count(shop, table.name)


@pytest.mark.parametrize("rows", [1, 7, 40])
def test_a_table_made_whole_in_parts_has_every_row_once(
    shop: Service, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    store(shop, happened(60))
    monkeypatch.setattr(serving_refresh, "ROWS_PER_PART", rows)
    for table in shop.writers[0].serving.tables:
        shop.warehouse.command(f"truncate table {shop.settings.database}.{table.name}")
    shop.do("make serving tables", NAMES)
    assert shop.do("refresh serving tables", 60) == 0
    assert wrong(shop) == {}


def test_keys_are_quoted() -> None:
    assert with_keys(["ann", "o'neil\\"])("user_id") == "user_id in ('ann', 'o\\'neil\\\\')"


def test_other_groups_touch_their_items(make_shop: Callable[..., Service], tmp_path: Path) -> None:
    """A definition of one's own over sessions: a view touches all items of its session."""
    shop = make_shop()
    database = shop.settings.database
    folder = tmp_path / "sql" / "serving"
    folder.mkdir(parents=True)
    (tmp_path / "sql" / "macros").mkdir()
    (folder / "viewed_with.sql").write_text(
        "-- How often an item was viewed with others.\n--\n-- @key item_key of sessions\n"
        "select item_key, toUInt64(sum(sessions)) as times from {{ database }}.co_views where {{ picks('item_key') }}"
        " group by item_key"
    )
    shop.warehouse.command(
        f"create table {database}.viewed_with (item_key UInt64, times UInt64) engine = EmbeddedRocksDB primary key item_key"
    )
    shop.writers[0].serving.__init__(shop.warehouse, tmp_path)  # type: ignore[misc]
    for item in ("tea", "mug", "pot"):
        store(shop, [Event(event_type="view", user_id="ada", session_id="s1", item_id=item)])
    sql = f"select dictGet('{database}.catalogue', 'item_id', item_key) as item, times from {database}.viewed_with order by item"
    assert shop.warehouse.trusted_rows(sql).data == [["mug", 2], ["pot", 2], ["tea", 2]]


def test_a_step_on_a_server_ends_with_all_rows_since_the_next_would_begin_anew() -> None:
    for shared, seconds in ((False, 0.5), (True, math.inf)):
        steps: list[float] = []
        writer: Any = SimpleNamespace(
            serving=SimpleNamespace(refresh=steps.append, pending=7),
            catalogue=SimpleNamespace(refresh_demand=lambda: None),
            warehouse=SimpleNamespace(shared=shared),
        )
        assert refresh_serving_tables(writer, 0.5) == 7
        assert steps == [seconds]
