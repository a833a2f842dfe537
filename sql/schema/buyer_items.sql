-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0018_buyer_items
-- Which items a person bought and the seq of each one's first purchase: the history that co_purchases_mv continues. Numbers
-- instead of the texts of user_items: a batch reads all that its buyers ever bought.
-- Read it with min(first_seq) ... group by buyer_key, item_key.

CREATE TABLE buyer_items
(
    `buyer_key` UInt64,
    `item_key` UInt64,
    `first_seq` SimpleAggregateFunction(min, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (buyer_key, item_key)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
