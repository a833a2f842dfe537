-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0012_item_hours
-- How often each item was seen, carted, bought … in each hour: what trending reads.
-- Signed sums that merge in the background: read with sum(events) ... group by.

CREATE TABLE item_hours
(
    `hour` DateTime('UTC'),
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `category` String,
    `events` Int64
)
ENGINE = SummingMergeTree((events))
ORDER BY (hour, event_type, item_key, category)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
