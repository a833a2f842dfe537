-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0105_daily_voices
-- How many people saw, carted, bought … each item on each day: what popular and new_items rank by. A person counts once a day for an
-- item and a type of event, however often they come. A day of the same person later counts again.
-- Signed sums that merge in the background: read with sum(voices) ... group by.

CREATE TABLE daily_voices
(
    `day` Date,
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `voices` Int64
)
ENGINE = SummingMergeTree((voices))
ORDER BY (day, event_type, item_key)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
