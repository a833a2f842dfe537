-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Which items a person bought and the seq of each one's first purchase: the history that co_purchases_mv continues. Numbers
-- instead of the texts of user_items: a batch reads all that its buyers ever bought.
-- Read it with min(first_seq) ... group by buyer_key, item_key.
create table if not exists shop.buyer_items_local on cluster 'shards' (
    buyer_key UInt64,
    item_key UInt64,
    first_seq SimpleAggregateFunction(min, UInt64)
)
engine = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/shop/buyer_items_local', '{replica}')
order by (buyer_key, item_key)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.buyer_items on cluster 'shards' as shop.buyer_items_local
engine = Distributed('shards', 'shop', 'buyer_items_local', rand())
;
