-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0109_hourly_voices_mv
-- Feeds hourly_voices, from the feed voices: a voice counts at its place, and among all under place ''.

CREATE MATERIALIZED VIEW hourly_voices_mv TO hourly_voices
(
    `place` String,
    `hour` DateTime('UTC'),
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `voices` Int64
)
AS SELECT
    arrayJoin(arrayDistinct(['', happened_at])) AS place,
    hour,
    event_type,
    item_key,
    toInt64(count()) AS voices
FROM voices
GROUP BY
    place,
    hour,
    event_type,
    item_key
