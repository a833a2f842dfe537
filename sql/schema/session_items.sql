-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0022_session_items
-- Which items a session viewed and the seq of each one's first view: the history that co_views_mv continues.
-- Read it with min(first_seq) ... group by session_key, item_key.

CREATE TABLE session_items
(
    `session_key` UInt64,
    `item_key` UInt64,
    `first_seq` SimpleAggregateFunction(min, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (session_key, item_key)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
