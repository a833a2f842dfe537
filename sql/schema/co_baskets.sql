-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0008_co_baskets
-- In how many orders two items stand together, both ways round, by the month of the later line of the two.
-- An order's items are ranked by first appearance; a pair counts once per order if the ranks are at most 100 apart.
-- weight is the sum over those orders of round(10^6 / sqrt(lines of the order)), lines unknown or below two counting as two.
-- Signed sums that merge in the background: read with sum(...) ... group by, and having baskets > 0.

CREATE TABLE co_baskets
(
    `item_key` UInt64,
    `other_item_key` UInt64,
    `month` Date,
    `baskets` Int64,
    `weight` Int64
)
ENGINE = SummingMergeTree((baskets, weight))
ORDER BY (item_key, other_item_key, month)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
