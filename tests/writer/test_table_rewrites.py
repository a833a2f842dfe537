"""The choice of a strategy by the kind of table; tests/privacy proves what each one does."""

from __future__ import annotations

import pytest

from alsobought.storage.count_tables import CountTable
from alsobought.writer import table_rewrites
from alsobought.writer.table_rewrites import strategy_of

OWNED = "select cityHash64(user_id) as owner_key, count() as events from shop.events group by owner_key"
SHARED = "select item_id, max(timestamp) as last_time from shop.events group by item_id"


def table(engine: str, *keys: str, select: str) -> CountTable:
    return CountTable("shop", "t", engine, keys, {}, {}, select, frozenset())


@pytest.mark.parametrize(
    ("count_table", "strategy"),
    [
        (table("SummingMergeTree", "user_id", "item_id", select=OWNED), table_rewrites.rename_rows),
        (table("SummingMergeTree", "item_id", select=SHARED), table_rewrites.add_difference),
        (table("ReplacingMergeTree", "owner_key", select=OWNED), table_rewrites.replace_owned_rows),
        (table("AggregatingMergeTree", "item_id", select=SHARED), table_rewrites.recompute_shared_rows),
    ],
    ids=["has a user_id", "signed sums", "one owner per row", "shared rows"],
)
def test_each_kind_of_table_has_its_strategy(count_table: CountTable, strategy: object) -> None:
    assert strategy_of(count_table, "merge") is strategy


@pytest.mark.parametrize(
    ("count_table", "strategy"),
    [
        (table("SummingMergeTree", "user_id", "item_id", select=OWNED), table_rewrites.split_rows),
        (table("SummingMergeTree", "item_id", select=SHARED), table_rewrites.add_difference),
        (table("ReplacingMergeTree", "owner_key", select=OWNED), table_rewrites.split_rows),
        (table("AggregatingMergeTree", "item_id", select=SHARED), table_rewrites.recompute_shared_rows),
    ],
    ids=["has a user_id", "signed sums", "one owner per row", "shared rows"],
)
def test_rows_of_a_user_are_split_where_a_merge_is_undone(count_table: CountTable, strategy: object) -> None:
    assert strategy_of(count_table, "unmerge") is strategy
