-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0104_user_days_mv_with_first_seq
-- Feeds user_days. Refunds are not counted.

CREATE MATERIALIZED VIEW user_days_mv TO user_days
(
    `user_id` String,
    `day` Date,
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `events` Int64,
    `last_seq` UInt64,
    `first_seq` UInt64
)
AS SELECT
    user_id,
    toDate(timestamp) AS day,
    event_type,
    cityHash64(item_id) AS item_key,
    toInt64(count()) AS events,
    max(seq) AS last_seq,
    min(seq) AS first_seq
FROM events
WHERE event_type != 'refund'
GROUP BY
    user_id,
    day,
    event_type,
    item_key
