-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- What happened, one row each, and the write-ahead log of every view below: batch and epoch say which insert brought a row.
-- seq orders the events of one user across all sources; nothing is ever ordered by time or offset.
-- by_event_id finds the few rows that repeat an event_id; category is stamped on the way in, from the event or else from the catalogue, so that every count is a function of this table.
create table if not exists shop.events_local on cluster 'shards' (
    event_id String,
    event_type LowCardinality(String),
    user_id String,
    session_id String,
    item_id String,
    category String default dictGetOrDefault('shop.catalogue', 'category', cityHash64(item_id), ''),
    order_id String,
    order_size UInt32,
    quantity UInt32,
    price Decimal(18, 4),
    timestamp DateTime64(3, 'UTC'),
    properties String,
    source LowCardinality(String),
    partition UInt32,
    offset UInt64,
    batch UInt64,
    epoch UInt64,
    ingested_at DateTime64(3, 'UTC'),
    seq UInt64,
    index by_event_id event_id type bloom_filter(0.001) granularity 1,
    index by_ingested_at ingested_at type minmax granularity 1
)
engine = ReplicatedMergeTree('/clickhouse/tables/{shard}/shop/events_local', '{replica}')
order by (user_id, seq)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.events on cluster 'shards' as shop.events_local
engine = Distributed('shards', 'shop', 'events_local', cityHash64(user_id))
;
