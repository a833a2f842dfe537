-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0028_daily_popularity
-- How often each item was seen, carted, bought … on each day, in what quantity, and the revenue: quantity times price.
-- orders counts an order once per item, on the day of its first line with the item. item_key 0 stands for all items.
-- Signed sums that merge in the background: read with sum(...) ... group by.

CREATE TABLE daily_popularity
(
    `day` Date,
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `events` Int64,
    `orders` Int64,
    `quantity` Int64,
    `revenue` Decimal(38, 4)
)
ENGINE = SummingMergeTree((events, orders, quantity, revenue))
ORDER BY (day, event_type, item_key)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
