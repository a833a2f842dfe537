-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0092_place_hours_mv_without_refunds
-- Feeds place_hours. A place is a word, a path (Finland/Helsinki) or a whole number, of at most 256 bytes. Refunds are not counted.

CREATE MATERIALIZED VIEW place_hours_mv TO place_hours
(
    `place` String,
    `hour` DateTime('UTC'),
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `events` Int64
)
AS SELECT
    JSONExtractString(properties, 'place') AS place,
    toStartOfHour(toDateTime(timestamp, 'UTC')) AS hour,
    event_type,
    cityHash64(item_id) AS item_key,
    toInt64(count()) AS events
FROM events
WHERE (event_type != 'refund') AND (JSONType(properties, 'place') IN ('String', 'Int64', 'UInt64')) AND ((length(place) >= 1) AND (length(place) <= 256))
GROUP BY
    place,
    hour,
    event_type,
    item_key
