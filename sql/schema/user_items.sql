-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0010_user_items
-- What a user did with an item, how often, first and last. It outlives the raw events.
-- Sums and extremes that merge in the background: read with sum/min/max ... group by.

CREATE TABLE user_items
(
    `user_id` String,
    `item_id` String,
    `event_type` LowCardinality(String),
    `events` SimpleAggregateFunction(sum, Int64),
    `first_seq` SimpleAggregateFunction(min, UInt64),
    `last_seq` SimpleAggregateFunction(max, UInt64),
    `first_time` SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    `last_time` SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (user_id, item_id, event_type)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
