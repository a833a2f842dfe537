-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0024_co_views
-- In how many sessions both items were viewed, both ways round, by the month of the later first view of the two.
-- A session's items are ranked by first view; a pair counts once per session if the ranks are at most 20 apart.
-- Signed sums that merge in the background: read with sum(sessions) ... group by, and having above 0.

CREATE TABLE co_views
(
    `item_key` UInt64,
    `other_item_key` UInt64,
    `month` Date,
    `sessions` Int64
)
ENGINE = SummingMergeTree((sessions))
ORDER BY (item_key, other_item_key, month)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
