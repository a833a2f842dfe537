-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- How many events and calls of known bots were dropped, per hour and bot: as the list in sql/bots.csv calls it, no user agent. What was
-- sent over HTTP and read from Kafka; the last second is missing after a crash. It merges in the background: read it with sum(events).
create table if not exists shop.dropped_events_local on cluster 'shards' (
    hour DateTime('UTC'),
    bot LowCardinality(String),
    events SimpleAggregateFunction(sum, UInt64),
    last_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
engine = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/shop/dropped_events_local', '{replica}')
order by (hour, bot)
ttl hour + interval 90 day
settings replicated_deduplication_window = 1000
;

create table if not exists shop.dropped_events on cluster 'shards' as shop.dropped_events_local
engine = Distributed('shards', 'shop', 'dropped_events_local', rand())
;
