-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Who did what with an item, how often and when last, and in which order: user_items the other way round, to find people and
-- orders by item. order_id is that of a purchase in an order, else empty. Impressions say nothing and are not here.
-- Sums and extremes that merge in the background: read with sum/max ... group by.
create table if not exists shop.item_users_local on cluster 'shards' (
    item_key UInt64,
    user_id String,
    event_type LowCardinality(String),
    order_id String,
    events SimpleAggregateFunction(sum, Int64),
    last_time SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
engine = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/shop/item_users_local', '{replica}')
order by (item_key, user_id, event_type, order_id)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.item_users on cluster 'shards' as shop.item_users_local
engine = Distributed('shards', 'shop', 'item_users_local', cityHash64(user_id))
;
