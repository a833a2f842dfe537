-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- The ledger: one row per batch of one source, with the range of offsets it brought. What a load resumes from.
create table if not exists shop.ingest_batches_local on cluster 'shards' (
    batch UInt64,
    epoch UInt64,
    source LowCardinality(String),
    partition UInt32,
    first_offset UInt64,
    last_offset UInt64,
    events UInt64,
    ingested_at DateTime64(3, 'UTC')
)
engine = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/shop/ingest_batches_local', '{replica}')
order by (source, partition, batch)
settings replicated_deduplication_window = 1000
;

create table if not exists shop.ingest_batches on cluster 'shards' as shop.ingest_batches_local
engine = Distributed('shards', 'shop', 'ingest_batches_local', rand())
;
