-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0035_rewrites
-- What changed stored rows, other than batches of events: users forgotten or merged, tables rebuilt. Read it with FINAL.
-- No batch up to `batch` is ever stored again: the tables have changed since. `marks` has the newest block of each table before, so
-- that whoever finishes what a crash interrupted knows what was done. `about` is emptied once it is done.

CREATE TABLE rewrites
(
    `id` UInt64,
    `kind` LowCardinality(String),
    `about` String,
    `batch` UInt64,
    `marks` Map(String, Int64),
    `done` Bool,
    `noted_at` DateTime64(3, 'UTC') DEFAULT now64(3),
    `version` UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY id
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
