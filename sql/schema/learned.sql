-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0040_learned
-- What was learnt, when, of how many events, and how good it came out: a row for each run of `alsobought learn`.
-- until is the seq of the newest event that a run knew. rows, options and quality are JSON objects; line says quality in words.

CREATE TABLE learned
(
    `name` LowCardinality(String),
    `learned_at` DateTime64(3, 'UTC'),
    `events` UInt64,
    `until` UInt64,
    `seconds` Float64,
    `rows` String,
    `options` String,
    `quality` String,
    `line` String
)
ENGINE = MergeTree
ORDER BY (name, learned_at)
SETTINGS index_granularity = 8192
