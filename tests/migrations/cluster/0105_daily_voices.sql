-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- How many people saw, carted, bought … each item on each day: what popular and new_items rank by. A person counts once a day for an
-- item and a type of event, however often they come. A day of the same person later counts again.
-- Signed sums that merge in the background: read with sum(voices) ... group by.
create table if not exists shop.daily_voices_local on cluster 'shards' (
    day Date,
    event_type LowCardinality(String),
    item_key UInt64,
    voices Int64
)
engine = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/shop/daily_voices_local', '{replica}', (voices))
order by (day, event_type, item_key)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.daily_voices on cluster 'shards' as shop.daily_voices_local
engine = Distributed('shards', 'shop', 'daily_voices_local', rand())
;
