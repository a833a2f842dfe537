-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- What was read of Kafka, in ranges of offsets that follow each other: where reading goes on, and proof that nothing was left out.
-- messages = stored + repeats + refused: those with an event in `events` (an item in `items`), those whose events were all
-- known by their event_id, and those in `dead_letters`. A range grows for a minute under its first offset: read it with FINAL.
-- After a crash it may overlap the one before.
create table if not exists shop.ingest_ranges_local on cluster 'shards' (
    source LowCardinality(String),
    partition UInt32,
    first_offset UInt64,
    next_offset UInt64,
    messages UInt64,
    stored UInt64,
    repeats UInt64,
    refused UInt64,
    noted_at DateTime64(3, 'UTC')
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/ingest_ranges_local', '{replica}', next_offset)
order by (source, partition, first_offset)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.ingest_ranges on cluster 'shards' as shop.ingest_ranges_local
engine = Distributed('shards', 'shop', 'ingest_ranges_local', rand())
;
