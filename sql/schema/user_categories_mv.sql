-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0015_user_categories_mv
-- Feeds user_categories.

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
GROUP BY
    user_id,
    category,
    event_type
