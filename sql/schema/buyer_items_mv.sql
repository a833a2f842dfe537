-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0019_buyer_items_mv
-- Feeds buyer_items.

CREATE MATERIALIZED VIEW buyer_items_mv TO buyer_items
(
    `buyer_key` UInt64,
    `item_key` UInt64,
    `first_seq` UInt64
)
AS SELECT
    cityHash64(user_id) AS buyer_key,
    cityHash64(item_id) AS item_key,
    min(seq) AS first_seq
FROM events
WHERE event_type = 'purchase'
GROUP BY
    buyer_key,
    item_key
