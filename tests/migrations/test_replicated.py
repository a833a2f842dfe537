"""Migrations as a shard with replicas gets them: text to text."""

from __future__ import annotations

import pytest

from alsobought.migrations.files import by_key, migrations
from alsobought.migrations.replicated import on_replica
from alsobought.migrations.statement import read_statement
from tests.support.project import ROOT

PATH = "'/clickhouse/tables/{shard}/shop/t', '{replica}'"
NO_WINDOW = "settings replicated_deduplication_window = 0"


def on(text: str) -> list[str]:
    return on_replica(read_statement(text, "shop"), "shop", {"latest"})


@pytest.mark.parametrize(
    ("engine", "replicated"),
    [
        ("MergeTree", f"ReplicatedMergeTree({PATH})"),
        ("MergeTree()", f"ReplicatedMergeTree({PATH})"),
        ("ReplacingMergeTree(x)", f"ReplicatedReplacingMergeTree({PATH}, x)"),
        ("SummingMergeTree((x, y))", f"ReplicatedSummingMergeTree({PATH}, (x, y))"),
    ],
)
def test_each_engine_becomes_its_replicated_one(engine: str, replicated: str) -> None:
    (sql,) = on(f"create table shop.t (x UInt8) engine = {engine}\norder by x")
    assert sql == f"create table if not exists shop.t (x UInt8) engine = {replicated}\norder by x\n{NO_WINDOW}"


def test_a_token_is_remembered_until_others_push_it_out_however_long_that_takes() -> None:
    (sql,) = on(
        "create table shop.t (x UInt8) engine = MergeTree order by x"
        " settings non_replicated_deduplication_window = 7, index_granularity = 16"
    )
    assert sql.endswith(
        "order by x settings replicated_deduplication_window = 7, index_granularity = 16,"
        " replicated_deduplication_window_seconds = 315360000"
    )
    assert on("alter table shop.t modify setting non_replicated_deduplication_window = 5") == [
        "alter table shop.t modify setting replicated_deduplication_window = 5"
    ]


def test_a_key_value_table_becomes_replicated_rows_and_a_view_of_the_newest() -> None:
    view = "shop.latest as select * from shop.latest_rows final"
    assert on("create table shop.latest (k String, v UInt8)\nengine = EmbeddedRocksDB\nprimary key k") == [
        "create table if not exists shop.latest_rows (k String, v UInt8)\n"
        "engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/latest_rows', '{replica}')\norder by k\n"
        f"{NO_WINDOW}, index_granularity = 128",
        f"create view if not exists {view}",
    ]
    assert on("alter table shop.latest add column w UInt8") == [
        "alter table shop.latest_rows add column if not exists w UInt8",
        f"create or replace view {view}",
    ]
    assert on("drop table shop.latest") == [
        "drop view if exists shop.latest sync",
        "drop table if exists shop.latest_rows sync",
    ]


def test_other_objects_stay_as_they_are_and_a_drop_frees_the_name_in_keeper() -> None:
    assert on("create table shop.t (x UInt8) engine = Null") == [
        "create table if not exists shop.t (x UInt8) engine = Null"
    ]
    assert on("create view shop.v as select 1") == ["create view if not exists shop.v as select 1"]
    assert on("alter table shop.t add column x UInt8") == ["alter table shop.t add column if not exists x UInt8"]
    assert on("drop table shop.t") == ["drop table if exists shop.t sync"]


def test_every_table_of_ours_that_stores_rows_is_replicated() -> None:
    files = migrations(ROOT / "migrations")
    for migration in files:
        shape = migration.statement("shop")
        if (shape.verb, shape.kind) == ("create", "table") and shape.engine != "null":
            sql = on_replica(shape, "shop", by_key(files))[0]
            assert " = Replicated" in sql and "replicated_deduplication_window = " in sql, migration.name
            assert " non_replicated" not in sql
