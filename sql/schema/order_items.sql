-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0006_order_items
-- Which items an order holds and the seq of each one's first purchase line: the history that co_baskets_mv continues.
-- Read it with min(first_seq) ... group by order_key, item_key.

CREATE TABLE order_items
(
    `order_key` UInt64,
    `item_key` UInt64,
    `first_seq` SimpleAggregateFunction(min, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (order_key, item_key)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
