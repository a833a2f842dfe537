-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0030_requests
-- Requests to pipes, one row each: what was asked, what was shown and what it cost. Not made from events; the service
-- writes it in batches, so the requests of the last second are missing after a crash.
-- `time` is the clock the pipe was given. `parameters` is a JSON object, each name with the list of its values, just as
-- they were asked: a replay asks them again. It is empty where it was longer than 64 KiB. A kept answer read no rows.
-- 90 days: a season to replay and to judge a change by, and no longer, since it tells who was shown what. A week is one
-- partition and goes as a whole, without rewriting what stays.
--
-- 0120_requests_recommendation
-- For each list: its recommendation_id, and what made it. unit is whom the variant of an experiment was drawn for, a user_id or a
-- session_id. propensities, scores and sources (pipes) are those of the items, in order; empty where a pipe has no such column.
-- shadow_of is the request_id of the answer that was shown instead of this one, which nobody saw.

CREATE TABLE requests
(
    `time` DateTime64(3, 'UTC'),
    `request_id` String,
    `recommendation_id` String,
    `pipe` LowCardinality(String),
    `version` LowCardinality(String),
    `surface` LowCardinality(String),
    `experiment` LowCardinality(String),
    `variant` LowCardinality(String),
    `unit` String,
    `shadow_of` String,
    `fallback` LowCardinality(String),
    `parameters` String,
    `item_ids` Array(String),
    `propensities` Array(Float32),
    `scores` Array(Float32),
    `sources` Array(LowCardinality(String)),
    `rows` UInt32,
    `status` UInt16,
    `error` LowCardinality(String),
    `seconds` Float64,
    `rows_read` UInt64,
    `bytes_read` UInt64,
    `kept` Bool,
    INDEX by_recommendation_id recommendation_id TYPE bloom_filter(0.001) GRANULARITY 4,
    INDEX by_request_id request_id TYPE bloom_filter(0.001) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toMonday(time)
ORDER BY (pipe, time)
TTL toDateTime(time) + toIntervalDay(90)
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1, index_granularity = 8192
