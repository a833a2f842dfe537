-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0046_user_days
-- What each user did with which item on each day, and the seq of the last time: habits, and what somebody is at just now.
-- Sums and extremes that merge in the background: read with sum/max ... group by.
--
-- 0102_user_days_first_seq
-- The seq of the first time, which decides what counts as a voice (see voices). Rows from before have 0 until `alsobought rebuild user_days`.

CREATE TABLE user_days
(
    `user_id` String,
    `day` Date,
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `events` SimpleAggregateFunction(sum, Int64),
    `last_seq` SimpleAggregateFunction(max, UInt64),
    `first_seq` SimpleAggregateFunction(min, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (user_id, day, event_type, item_key)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 1024
