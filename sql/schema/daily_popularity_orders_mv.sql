-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0074_daily_popularity_orders_mv
-- Feeds the orders of daily_popularity, from the feed first_lines: an order counts once per item, on the day of its first line
-- with the item, and once for all items (item_key 0) on the day of its first line.

CREATE MATERIALIZED VIEW daily_popularity_orders_mv TO daily_popularity
(
    `day` Date,
    `event_type` String,
    `item_key` UInt64,
    `events` Int64,
    `orders` Int64,
    `quantity` Int64,
    `revenue` Decimal(38, 4)
)
AS SELECT
    (arrayJoin(arrayConcat(fresh, if(is_new, [(0, (fresh[1]).2, 0)], []))) AS line).2 AS day,
    'purchase' AS event_type,
    line.1 AS item_key,
    toInt64(0) AS events,
    toInt64(count()) AS orders,
    toInt64(0) AS quantity,
    toDecimal128(0, 4) AS revenue
FROM first_lines
WHERE kind = 'order'
GROUP BY
    day,
    item_key
