-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0007_order_items_mv
-- Feeds order_items. An order belongs to its user: two users may use the same order_id.

CREATE MATERIALIZED VIEW order_items_mv TO order_items
(
    `order_key` UInt64,
    `item_key` UInt64,
    `first_seq` UInt64
)
AS SELECT
    cityHash64(user_id, order_id) AS order_key,
    cityHash64(item_id) AS item_key,
    min(seq) AS first_seq
FROM events
WHERE (event_type = 'purchase') AND (order_id != '')
GROUP BY
    order_key,
    item_key
