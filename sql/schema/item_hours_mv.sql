-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0084_item_hours_mv_without_refunds
-- Feeds item_hours. Refunds are not counted.

CREATE MATERIALIZED VIEW item_hours_mv TO item_hours
(
    `hour` DateTime('UTC'),
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `category` String,
    `events` Int64
)
AS SELECT
    toStartOfHour(toDateTime(timestamp, 'UTC')) AS hour,
    event_type,
    cityHash64(item_id) AS item_key,
    category,
    toInt64(count()) AS events
FROM events
WHERE event_type != 'refund'
GROUP BY
    hour,
    event_type,
    item_key,
    category
