-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0119_touches_mv
-- Feeds touches. Ids that are forged or have expired have the placement 0; refunds are no touch.

CREATE MATERIALIZED VIEW touches_mv TO touches
(
    `day` Date,
    `user_id` String,
    `recommendation_id` String,
    `item_key` UInt64,
    `event_type` LowCardinality(String),
    `placement` UInt64,
    `recommended_at` DateTime64(3, 'UTC'),
    `position` UInt16,
    `session_id` String,
    `first_time` DateTime64(3, 'UTC'),
    `first_seq` UInt64,
    `events` Int64
)
AS SELECT
    toDate(timestamp) AS day,
    user_id,
    recommendation_id,
    cityHash64(item_id) AS item_key,
    event_type,
    placement,
    recommended_at,
    min(position) AS position,
    max(session_id) AS session_id,
    min(timestamp) AS first_time,
    min(seq) AS first_seq,
    toInt64(count()) AS events
FROM events
WHERE (placement != 0) AND (event_type NOT IN ('refund', 'refunded_purchase'))
GROUP BY
    day,
    user_id,
    recommendation_id,
    item_key,
    event_type,
    placement,
    recommended_at
