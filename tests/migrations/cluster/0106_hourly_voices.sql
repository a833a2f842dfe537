-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The same by hour and place: what trending reads. Who counts once a day counts in the hour of their first event, at its place. A
-- place is what an event has as properties.place; the rows of place '' are about all events, wherever they happened.
-- Signed sums that merge in the background: read with sum(voices) ... group by.
create table if not exists shop.hourly_voices_local on cluster 'shards' (
    place String,
    hour DateTime('UTC'),
    event_type LowCardinality(String),
    item_key UInt64,
    voices Int64
)
engine = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/shop/hourly_voices_local', '{replica}', (voices))
order by (place, hour, event_type, item_key)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.hourly_voices on cluster 'shards' as shop.hourly_voices_local
engine = Distributed('shards', 'shop', 'hourly_voices_local', rand())
;
