-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0086_user_categories_mv_without_refunds
-- Feeds user_categories. Refunds are not counted.

CREATE MATERIALIZED VIEW user_categories_mv TO user_categories
(
    `user_id` String,
    `category` String,
    `event_type` LowCardinality(String),
    `events` Int64
)
AS SELECT
    user_id,
    category,
    event_type,
    toInt64(count()) AS events
FROM events
WHERE event_type != 'refund'
GROUP BY
    user_id,
    category,
    event_type
