-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Which items an order holds and the seq of each one's first purchase line: the history that co_baskets_mv continues.
-- Read it with min(first_seq) ... group by order_key, item_key.
create table if not exists shop.order_items_local on cluster 'shards' (
    order_key UInt64,
    item_key UInt64,
    first_seq SimpleAggregateFunction(min, UInt64)
)
engine = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/shop/order_items_local', '{replica}')
order by (order_key, item_key)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.order_items on cluster 'shards' as shop.order_items_local
engine = Distributed('shards', 'shop', 'order_items_local', rand())
;
