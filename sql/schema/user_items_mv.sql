-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0082_user_items_mv_without_refunds
-- Feeds user_items. Refunds are not counted.

CREATE MATERIALIZED VIEW user_items_mv TO user_items
(
    `user_id` String,
    `item_id` String,
    `event_type` LowCardinality(String),
    `events` Int64,
    `first_seq` UInt64,
    `last_seq` UInt64,
    `first_time` DateTime64(3, 'UTC'),
    `last_time` DateTime64(3, 'UTC')
)
AS SELECT
    user_id,
    item_id,
    event_type,
    toInt64(count()) AS events,
    min(seq) AS first_seq,
    max(seq) AS last_seq,
    min(timestamp) AS first_time,
    max(timestamp) AS last_time
FROM events
WHERE event_type != 'refund'
GROUP BY
    user_id,
    item_id,
    event_type
