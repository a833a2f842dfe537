-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0108_daily_voices_mv
-- Feeds daily_voices, from the feed voices.

CREATE MATERIALIZED VIEW daily_voices_mv TO daily_voices
(
    `day` Date,
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `voices` Int64
)
AS SELECT
    toDate(hour) AS day,
    event_type,
    item_key,
    toInt64(count()) AS voices
FROM voices
GROUP BY
    day,
    event_type,
    item_key
