-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The strongest companions of each item in one row, so that a list costs one look-up instead of the 70,000 pairs of a popular item.
-- A serving table: sql/serving/item_companions.sql makes its rows from co_baskets. Measured against MergeTree, a look-up in RocksDB
-- takes a third of the time, and small inserts do not slow it down.
create table if not exists shop.item_companions_local on cluster 'shards' (
    item_key UInt64,
    companions Array(Tuple(item_key UInt64, baskets UInt32, strength Float32))
)
engine = EmbeddedRocksDB
primary key item_key
;

create table if not exists shop.item_companions on cluster 'shards' as shop.item_companions_local
engine = Distributed('shards', 'shop', 'item_companions_local', rand())
;
