-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0016_ingest_batches
-- The ledger: one row per batch of one source, with the range of offsets it brought. What a load resumes from.

CREATE TABLE ingest_batches
(
    `batch` UInt64,
    `epoch` UInt64,
    `source` LowCardinality(String),
    `partition` UInt32,
    `first_offset` UInt64,
    `last_offset` UInt64,
    `events` UInt64,
    `ingested_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (source, partition, batch)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
