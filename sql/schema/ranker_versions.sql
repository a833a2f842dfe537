-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0124_ranker_versions
-- Every version of ranker_weights that was in service: its rows, and `previous`, the version that it replaced. learned_at is when it
-- was put into service; source is orders, clicks or online. Whoever learns writes a version here and then into ranker_weights; a
-- version is deleted after 90 days.

CREATE TABLE ranker_versions
(
    `version` UInt64,
    `previous` UInt64,
    `learned_at` DateTime64(3, 'UTC'),
    `source` LowCardinality(String),
    `model` LowCardinality(String),
    `feature` LowCardinality(String),
    `place` UInt8,
    `bucket` UInt16,
    `above` Float64,
    `up_to` Float64,
    `weight` Float64,
    `pairs` UInt64,
    `asked` Float64,
    `bought` Float64
)
ENGINE = MergeTree
ORDER BY (version, model, place, bucket)
TTL toDateTime(learned_at) + toIntervalDay(90)
SETTINGS index_granularity = 8192
