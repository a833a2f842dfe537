-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0033_ingest_ranges
-- What was read of Kafka, in ranges of offsets that follow each other: where reading goes on, and proof that nothing was left out.
-- messages = stored + repeats + refused: those with an event in `events` (an item in `items`), those whose events were all
-- known by their event_id, and those in `dead_letters`. A range grows for a minute under its first offset: read it with FINAL.
-- After a crash it may overlap the one before.
--
-- 0098_ingest_ranges_skipped
-- Messages of analytics tools that hold no event for us, such as page calls. messages = stored + repeats + refused + skipped.

CREATE TABLE ingest_ranges
(
    `source` LowCardinality(String),
    `partition` UInt32,
    `first_offset` UInt64,
    `next_offset` UInt64,
    `messages` UInt64,
    `stored` UInt64,
    `repeats` UInt64,
    `refused` UInt64,
    `skipped` UInt64,
    `noted_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(next_offset)
ORDER BY (source, partition, first_offset)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
