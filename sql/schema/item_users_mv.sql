-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0090_item_users_mv_without_refunds
-- Feeds item_users. Refunds are not counted.

CREATE MATERIALIZED VIEW item_users_mv TO item_users
(
    `item_key` UInt64,
    `user_id` String,
    `event_type` LowCardinality(String),
    `order_id` String,
    `events` Int64,
    `last_time` DateTime64(3, 'UTC')
)
AS SELECT
    cityHash64(item_id) AS item_key,
    user_id,
    event_type,
    if(event_type = 'purchase', events.order_id, '') AS order_id,
    toInt64(count()) AS events,
    max(timestamp) AS last_time
FROM events AS events
WHERE event_type NOT IN ('impression', 'refund')
GROUP BY
    item_key,
    user_id,
    event_type,
    order_id
