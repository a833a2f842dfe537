-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Which items a session viewed and the seq of each one's first view: the history that co_views_mv continues.
-- Read it with min(first_seq) ... group by session_key, item_key.
create table if not exists shop.session_items_local on cluster 'shards' (
    session_key UInt64,
    item_key UInt64,
    first_seq SimpleAggregateFunction(min, UInt64)
)
engine = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/shop/session_items_local', '{replica}')
order by (session_key, item_key)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.session_items on cluster 'shards' as shop.session_items_local
engine = Distributed('shards', 'shop', 'session_items_local', rand())
;
