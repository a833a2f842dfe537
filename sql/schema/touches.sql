-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0118_touches
-- What users did with recommended items, by day: an impression, a click, a purchase … of an item under a valid recommendation_id. How
-- often counts for nothing in a rate: a client may repeat itself. placement and recommended_at are what the id says; position is the
-- smallest that was sent, 0 if one had none; session_id is the last by alphabet.
-- Sums and extremes that merge in the background: read with min/max/sum ... group by, or through the macros of
-- sql/macros/attribution.sql. In the order of days, so that a report reads its own; the rows of a user are in one or two granules of each.

CREATE TABLE touches
(
    `day` Date,
    `user_id` String,
    `recommendation_id` String,
    `item_key` UInt64,
    `event_type` LowCardinality(String),
    `placement` UInt64,
    `recommended_at` DateTime64(3, 'UTC'),
    `position` SimpleAggregateFunction(min, UInt16),
    `session_id` SimpleAggregateFunction(max, String),
    `first_time` SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    `first_seq` SimpleAggregateFunction(min, UInt64),
    `events` SimpleAggregateFunction(sum, Int64)
)
ENGINE = AggregatingMergeTree
PRIMARY KEY (day, user_id)
ORDER BY (day, user_id, recommendation_id, item_key, event_type, placement, recommended_at)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
