-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0020_co_purchases
-- How many people bought both items, both ways round, by the month of the later first purchase of the two.
-- A person's items are ranked by first purchase; a pair counts once per person if the ranks are at most 20 apart.
-- Signed sums that merge in the background: read with sum(buyers) ... group by, and having above 0.

CREATE TABLE co_purchases
(
    `item_key` UInt64,
    `other_item_key` UInt64,
    `month` Date,
    `buyers` Int64
)
ENGINE = SummingMergeTree((buyers))
ORDER BY (item_key, other_item_key, month)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
