"""Migrations as a cluster would get them, compared with tests/migrations/cluster/.

No cluster has run them.

What can be tried here is: the engine reads every statement, and one shard of it, without
replication, counts as one node does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from alsobought.migrations.cluster import on_cluster
from alsobought.migrations.files import Migration, migrations, tables
from alsobought.migrations.statement import read_statement
from alsobought.settings import Settings
from alsobought.storage.clickhouse import open_warehouse
from alsobought.storage.warehouse import Warehouse
from tests.support.project import ROOT

GOLDEN = ROOT / "tests" / "migrations" / "cluster"
UPDATE = "GOLDEN=write python -m pytest tests/migrations/test_cluster.py"
FOUND = migrations(ROOT / "migrations")
HEAD = f"-- Untested here: no cluster has run it. Made by `{UPDATE}`.\n"


def rendered(migration: Migration) -> list[str]:
    return on_cluster(migration.statement("shop"), "shop", "shards", tables(FOUND))


def on(text: str) -> list[str]:
    return on_cluster(read_statement(text, "shop"), "shop", "c", {"events", "items"})


@pytest.fixture(scope="module")
def warehouse() -> Iterator[Warehouse]:
    warehouse = open_warehouse(Settings(dsn="chdb://:memory:", database="shop"))
    yield warehouse
    warehouse.command("drop database shop")
    warehouse.close()


@pytest.mark.parametrize("migration", FOUND, ids=lambda migration: migration.name)
def test_every_migration_renders_as_it_is_kept(migration: Migration) -> None:
    path = GOLDEN / f"{migration.name}.sql"
    text = HEAD + "".join(f"\n{sql}\n;\n" for sql in rendered(migration))
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.is_file(), f"{path.name} is missing; make it: {UPDATE}"
    assert path.read_text() == text, f"if that is meant: {UPDATE}"


def test_nothing_is_kept_that_has_no_migration() -> None:
    assert {path.stem for path in GOLDEN.glob("*")} == {migration.name for migration in FOUND}


@pytest.mark.parametrize("migration", FOUND, ids=lambda migration: migration.name)
def test_the_engine_can_read_every_statement(warehouse: Warehouse, migration: Migration) -> None:
    for sql in rendered(migration):
        assert "ON CLUSTER shards" in warehouse.trusted_rows("select formatQuery({q:String})", {"q": sql}).data[0][0]


def as_one_shard(sql: str) -> str:
    """The statement without what only a cluster has; who asks a Distributed table asks its one
    shard.
    """
    sql = re.sub(r" on cluster '\w+'", "", sql)
    sql = re.sub(r"Replicated(\w+)\('[^']+', '\{replica\}'(?:, )?", r"\1(", sql)
    sql = re.sub(
        r"create table (.*) as (shop\.\w+_local)\nengine = Distributed\(.*\)",
        r"create view \1 as select * from \2",
        sql,
    )
    sql = re.sub(
        r"alter table (shop\.(?!\w+_local\b)\w+) [^;]*", r"create or replace view \1 as select * from \1_local", sql
    )
    return sql.replace("replicated_deduplication_window", "non_replicated_deduplication_window")


def test_one_shard_counts_as_one_node_does(warehouse: Warehouse) -> None:
    for migration in FOUND:
        for sql in rendered(migration):
            warehouse.command(as_one_shard(sql))
    line = b'{"event_type": "purchase", "user_id": "u", "order_id": "o", "item_id": "%s", "seq": %d}\n'
    warehouse.insert("events_local", line % (b"tea", 1) + line % (b"mug", 2))
    assert warehouse.value("select sum(baskets) from shop.co_baskets") == 2
    assert warehouse.value("select sum(events) from shop.user_items where user_id = 'u'") == 2
    warehouse.command("system reload dictionary shop.catalogue")
    assert warehouse.value("select dictGet('shop.catalogue', 'item_id', cityHash64('tea'))") == "tea"


PATH = "'/clickhouse/tables/{shard}/shop/t_local', '{replica}'"


@pytest.mark.parametrize(
    ("engine", "replicated"),
    [
        ("MergeTree", f"ReplicatedMergeTree({PATH})"),
        ("MergeTree()", f"ReplicatedMergeTree({PATH})"),
        ("ReplacingMergeTree(x)", f"ReplicatedReplacingMergeTree({PATH}, x)"),
        ("SummingMergeTree((x, y))", f"ReplicatedSummingMergeTree({PATH}, (x, y))"),
        ("Memory", "Memory"),
    ],
)
def test_each_engine_becomes_its_replicated_one(engine: str, replicated: str) -> None:
    local, distributed = on(f"create table shop.t (x UInt8) engine = {engine}\norder by x")
    assert (
        local == f"create table if not exists shop.t_local on cluster 'c' (x UInt8) engine = {replicated}\norder by x"
    )
    assert distributed == (
        "create table if not exists shop.t on cluster 'c' as shop.t_local\n"
        "engine = Distributed('c', 'shop', 't_local', rand())"
    )


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ("user_id String, item_id String", "cityHash64(user_id)"),
        ("day Date, item_id String default concat('a', user_id), index i user_id type minmax", "cityHash64(item_id)"),
        ("price Decimal(18, 4), item_key UInt64", "rand()"),
    ],
)
def test_rows_of_a_user_live_together_else_rows_of_an_item(columns: str, key: str) -> None:
    assert on(f"create table shop.t ({columns}) engine = Log")[1].endswith(f"'t_local', {key})")


def test_a_view_stays_on_its_shard_and_its_words_in_quotes_stay() -> None:
    (sql,) = on("create materialized view shop.v to shop.items as select 'shop.events' as x from shop.events, shop.d")
    assert sql == (
        "create materialized view if not exists shop.v on cluster 'c' to shop.items_local as"
        " select 'shop.events' as x from shop.events_local, shop.d"
    )


def test_a_change_goes_to_the_shards_and_columns_to_the_distributed_table_too() -> None:
    assert on("alter table shop.events add column x Array(UInt8), add index i x type minmax, drop column y") == [
        "alter table shop.events_local on cluster 'c' add column if not exists x Array(UInt8),"
        " add index if not exists i x type minmax, drop column if exists y",
        "alter table shop.events on cluster 'c' add column if not exists x Array(UInt8), drop column if exists y",
    ]
    assert on("alter table shop.events modify setting non_replicated_deduplication_window = 5") == [
        "alter table shop.events_local on cluster 'c' modify setting replicated_deduplication_window = 5"
    ]


def test_a_dropped_table_is_dropped_on_both_sides_and_anything_else_once() -> None:
    assert on("drop table shop.events") == [
        "drop table if exists shop.events on cluster 'c' sync",
        "drop table if exists shop.events_local on cluster 'c' sync",
    ]
    assert on("drop view shop.v") == ["drop view if exists shop.v on cluster 'c' sync"]
    assert on("drop dictionary shop.d") == ["drop dictionary if exists shop.d on cluster 'c' sync"]
    assert on("-- Not on cluster.\ncreate view shop.w as select 1") == [
        "-- Not on cluster.\ncreate view if not exists shop.w on cluster 'c' as select 1"
    ]


@pytest.mark.parametrize("sql", ["alter table shop.events add column x UInt8, drop index i", "drop table shop.events"])
def test_the_engine_can_read_changes_and_drops(warehouse: Warehouse, sql: str) -> None:
    for one in on(sql):
        assert "ON CLUSTER c" in warehouse.trusted_rows("select formatQuery({q:String})", {"q": one}).data[0][0]


def test_the_golden_folder_says_that_no_cluster_has_run_it() -> None:
    for path in Path(GOLDEN).glob("*.sql"):
        assert path.read_text().startswith("-- Untested here: no cluster has run it.")
