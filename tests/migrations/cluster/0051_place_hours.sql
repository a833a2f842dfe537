-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- How often each item was seen, carted, bought … in each hour at each place: what trending reads where a place is asked for.
-- A place is what an event has as properties.place; events without one are not in here.
-- Signed sums that merge in the background: read with sum(events) ... group by.
create table if not exists shop.place_hours_local on cluster 'shards' (
    place String,
    hour DateTime('UTC'),
    event_type LowCardinality(String),
    item_key UInt64,
    events Int64
)
engine = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/shop/place_hours_local', '{replica}', (events))
order by (place, hour, event_type, item_key)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.place_hours on cluster 'shards' as shop.place_hours_local
engine = Distributed('shards', 'shop', 'place_hours_local', rand())
;
