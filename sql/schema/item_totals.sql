-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0026_item_totals
-- In how many orders an item stands, how many people bought it, in how many sessions it was viewed: what pair counts are
-- divided by. Each order, person and session counts in the month of its first line with the item.
-- item_key 0 stands for all items: how many orders, buyers and sessions there are at all.
-- Signed sums that merge in the background: read with sum(...) ... group by item_key.

CREATE TABLE item_totals
(
    `item_key` UInt64,
    `month` Date,
    `orders` Int64,
    `buyers` Int64,
    `sessions` Int64
)
ENGINE = SummingMergeTree((orders, buyers, sessions))
ORDER BY (item_key, month)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
