-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0038_user_days
-- What each user did with which item on each day: habits, and what comes round again.
-- Signed sums that merge in the background: read with sum(events) ... group by.

CREATE TABLE user_days
(
    `user_id` String,
    `day` Date,
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `events` Int64
)
ENGINE = SummingMergeTree((events))
ORDER BY (user_id, day, event_type, item_key)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
