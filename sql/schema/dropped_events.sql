-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0111_dropped_events
-- How many events and calls of known bots were dropped, per hour and bot: as the list in sql/bots.csv calls it, no user agent. What was
-- sent over HTTP and read from Kafka; the last second is missing after a crash. It merges in the background: read it with sum(events).

CREATE TABLE dropped_events
(
    `hour` DateTime('UTC'),
    `bot` LowCardinality(String),
    `events` SimpleAggregateFunction(sum, UInt64),
    `last_at` SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (hour, bot)
TTL hour + toIntervalDay(90)
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
