-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0049_item_users
-- Who did what with an item, how often and when last, and in which order: user_items the other way round, to find people and
-- orders by item. order_id is that of a purchase in an order, else empty. Impressions say nothing and are not here.
-- Sums and extremes that merge in the background: read with sum/max ... group by.

CREATE TABLE item_users
(
    `item_key` UInt64,
    `user_id` String,
    `event_type` LowCardinality(String),
    `order_id` String,
    `events` SimpleAggregateFunction(sum, Int64),
    `last_time` SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (item_key, user_id, event_type, order_id)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
