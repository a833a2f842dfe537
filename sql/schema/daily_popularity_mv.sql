-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0094_daily_popularity_mv_without_refunds
-- Feeds daily_popularity but for the orders, which daily_popularity_orders_mv adds: the rows of both are summed. Of a purchase
-- the pieces count that were not refunded, of a refunded one those that were. The source has a name of its own, since an alias would
-- win over its column.

CREATE MATERIALIZED VIEW daily_popularity_mv TO daily_popularity
(
    `day` Date,
    `event_type` LowCardinality(String),
    `item_key` UInt64,
    `events` Int64,
    `orders` Int64,
    `quantity` Int64,
    `revenue` Decimal(38, 4)
)
AS SELECT
    toDate(timestamp) AS day,
    event_type,
    arrayJoin([cityHash64(item_id), 0]) AS item_key,
    toInt64(count()) AS events,
    toInt64(0) AS orders,
    toInt64(sum(if(event_type = 'refunded_purchase', event.refunded, event.quantity - event.refunded))) AS quantity,
    sum(toDecimal128(event.price, 4) * if(event_type = 'refunded_purchase', event.refunded, event.quantity - event.refunded)) AS revenue
FROM events AS event
WHERE event_type != 'refund'
GROUP BY
    day,
    event_type,
    item_key
