-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- What each user did with which item on each day, and the seq of the last time: habits, and what somebody is at just now.
-- Sums and extremes that merge in the background: read with sum/max ... group by.
create table if not exists shop.user_days_local on cluster 'shards' (
    user_id String,
    day Date,
    event_type LowCardinality(String),
    item_key UInt64,
    events SimpleAggregateFunction(sum, Int64),
    last_seq SimpleAggregateFunction(max, UInt64)
)
engine = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/shop/user_days_local', '{replica}')
order by (user_id, day, event_type, item_key)
settings replicated_deduplication_window = 1000, index_granularity = 1024
;

create table if not exists shop.user_days on cluster 'shards' as shop.user_days_local
engine = Distributed('shards', 'shop', 'user_days_local', cityHash64(user_id))
;
