-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- For each of the items with the most buyers, the items that those who have it want next, with their weights, largest first: what
-- somebody has, added up over these lists, is how much they want the rest (EASE, arXiv 1905.03375). `alsobought learn neighbours`
-- makes the whole table anew; no view fills it. Few rows to a granule, since a question wants few of them.
create table if not exists shop.item_neighbours_local on cluster 'shards' (
    item_key UInt64,
    neighbours Array(Tuple(UInt64, Float32))
)
engine = ReplicatedMergeTree('/clickhouse/tables/{shard}/shop/item_neighbours_local', '{replica}')
order by item_key
settings index_granularity = 16
;

create table if not exists shop.item_neighbours on cluster 'shards' as shop.item_neighbours_local
engine = Distributed('shards', 'shop', 'item_neighbours_local', rand())
;
