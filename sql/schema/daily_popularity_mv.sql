-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0029_daily_popularity_mv
-- Feeds daily_popularity. An order that had a line with the item before this block does not count again: order_items knows.
-- The source has a name of its own, since an alias would win over its column.

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
AS WITH
    (
        SELECT min(seq)
        FROM events
    ) AS begin,
    earlier AS
    (
        SELECT
            order_key,
            arrayJoin([item_key, 0]) AS member_key
        FROM order_items
        WHERE (first_seq < begin) AND (order_key IN (
            SELECT cityHash64(user_id, order_id)
            FROM events
            WHERE (event_type = 'purchase') AND (order_id != '')
        ))
    ),
    firsts AS
    (
        SELECT
            cityHash64(user_id, order_id) AS order_key,
            arrayJoin([cityHash64(item_id), 0]) AS member_key,
            min(seq) AS first_seq
        FROM events
        WHERE (event_type = 'purchase') AND (order_id != '')
        GROUP BY
            order_key,
            member_key
    )
SELECT
    toDate(timestamp) AS day,
    event_type,
    arrayJoin([cityHash64(item_id), 0]) AS item_key,
    toInt64(count()) AS events,
    toInt64(countIf((seq, item_key) IN (
        SELECT
            first_seq,
            member_key
        FROM firsts
        WHERE (order_key, member_key) NOT IN (
            SELECT
                order_key,
                member_key
            FROM earlier
        )
    ))) AS orders,
    toInt64(sum(event.quantity)) AS quantity,
    sum(toDecimal128(event.price, 4) * event.quantity) AS revenue
FROM events AS event
GROUP BY
    day,
    event_type,
    item_key
