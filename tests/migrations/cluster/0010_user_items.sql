-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- What a user did with an item, how often, first and last. It outlives the raw events.
-- Sums and extremes that merge in the background: read with sum/min/max ... group by.
create table if not exists shop.user_items_local on cluster 'shards' (
    user_id String,
    item_id String,
    event_type LowCardinality(String),
    events SimpleAggregateFunction(sum, Int64),
    first_seq SimpleAggregateFunction(min, UInt64),
    last_seq SimpleAggregateFunction(max, UInt64),
    first_time SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_time SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
engine = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/shop/user_items_local', '{replica}')
order by (user_id, item_id, event_type)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.user_items on cluster 'shards' as shop.user_items_local
engine = Distributed('shards', 'shop', 'user_items_local', cityHash64(user_id))
;
