-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0051_place_hours
-- How often each item was seen, carted, bought … in each hour at each place: what trending reads where a place is asked for.
-- A place is what an event has as properties.place; events without one are not in here.
-- Signed sums that merge in the background: read with sum(events) ... group by.

CREATE TABLE place_hours
(
    `place` String,
    `hour` DateTime('UTC'),
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `events` Int64
)
ENGINE = SummingMergeTree((events))
ORDER BY (place, hour, event_type, item_key)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
