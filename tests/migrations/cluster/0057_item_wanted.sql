-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- What those who have an item want next, learned or not, in one row for each item: for_you adds these up over what a user has.
-- A serving table: sql/serving/item_wanted.sql makes its rows from item_neighbours, which is learned, and from item_companions.
create table if not exists shop.item_wanted_local on cluster 'shards' (
    item_key UInt64,
    is_learned Bool,
    wanted Array(Tuple(item_key UInt64, weight Float32))
)
engine = EmbeddedRocksDB
primary key item_key
;

create table if not exists shop.item_wanted on cluster 'shards' as shop.item_wanted_local
engine = Distributed('shards', 'shop', 'item_wanted_local', rand())
;
