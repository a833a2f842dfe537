-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0017_ingest_batches_mv
-- Feeds ingest_batches.

CREATE MATERIALIZED VIEW ingest_batches_mv TO ingest_batches
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
AS SELECT
    batch,
    epoch,
    source,
    partition,
    min(offset) AS first_offset,
    max(offset) AS last_offset,
    count() AS events,
    max(ingested_at) AS ingested_at
FROM events
GROUP BY
    batch,
    epoch,
    source,
    partition
