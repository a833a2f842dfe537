-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0101_ingest_halts
-- Halts of the stream from Kafka: since when, why, what ends it, and when it ended. The newest without an end is the state now.
-- Read it with FINAL.

CREATE TABLE ingest_halts
(
    `halted_at` DateTime64(3, 'UTC'),
    `reason` String,
    `hint` String,
    `ended_at` Nullable(DateTime64(3, 'UTC')),
    `noted_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(noted_at)
ORDER BY halted_at
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
