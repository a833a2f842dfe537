-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0023_session_items_mv
-- Feeds session_items. A session belongs to its user: two users may use the same session_id.

CREATE MATERIALIZED VIEW session_items_mv TO session_items
(
    `session_key` UInt64,
    `item_key` UInt64,
    `first_seq` UInt64
)
AS SELECT
    cityHash64(user_id, session_id) AS session_key,
    cityHash64(item_id) AS item_key,
    min(seq) AS first_seq
FROM events
WHERE (event_type = 'view') AND (session_id != '')
GROUP BY
    session_key,
    item_key
