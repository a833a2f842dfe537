-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0032_dead_letters
-- Messages of Kafka that no event or item could be made of, each once: its bytes, and why it was refused. Read it with FINAL.
-- body is the message as text, or in base64 if it is no UTF-8: encoding says which. replayed_at: when it was taken after all.
--
-- 0096_dead_letters_ttl
-- Rejected posts (source http) are kept for 30 days: whoever sent them knows of it from the response.
--
-- 0115_reserved
-- Rows that are older than their time are deleted at once, not only when parts merge.

CREATE TABLE dead_letters
(
    `source` LowCardinality(String),
    `topic` LowCardinality(String),
    `partition` UInt32,
    `offset` UInt64,
    `reason` String,
    `encoding` LowCardinality(String),
    `body` String,
    `noted_at` DateTime64(3, 'UTC'),
    `replayed_at` Nullable(DateTime64(3, 'UTC'))
)
ENGINE = ReplacingMergeTree(noted_at)
ORDER BY (source, partition, offset)
TTL toDateTime(noted_at) + toIntervalDay(30) WHERE source = 'http'
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
