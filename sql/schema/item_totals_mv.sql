-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0027_item_totals_mv
-- Feeds item_totals: an item counts for an order, a person or a session with its first line there. Whether there was an
-- earlier one is decided by seq, from the histories that the pair views use. member_key 0 stands for all items of a group.

CREATE MATERIALIZED VIEW item_totals_mv TO item_totals
(
    `item_key` UInt64,
    `month` Date,
    `orders` Int64,
    `buyers` Int64,
    `sessions` Int64
)
AS WITH
    (
        SELECT min(seq)
        FROM events
    ) AS begin,
    lines AS
    (
        SELECT
            arrayJoin(arrayFilter(one -> (one.2), [('order', (event_type = 'purchase') AND (order_id != ''), cityHash64(user_id, order_id)), ('buyer', event_type = 'purchase', cityHash64(user_id)), ('session', (event_type = 'view') AND (session_id != ''), cityHash64(user_id, session_id))])) AS belongs,
            belongs.1 AS kind,
            belongs.3 AS group_key,
            arrayJoin([cityHash64(item_id), 0]) AS member_key,
            toStartOfMonth(toDate(argMin(timestamp, seq))) AS line_month
        FROM events
        WHERE event_type IN ('purchase', 'view')
        GROUP BY
            belongs,
            kind,
            group_key,
            member_key
    )
SELECT
    member_key AS item_key,
    line_month AS month,
    toInt64(countIf(kind = 'order')) AS orders,
    toInt64(countIf(kind = 'buyer')) AS buyers,
    toInt64(countIf(kind = 'session')) AS sessions
FROM lines
WHERE (kind, group_key, member_key) NOT IN (
    SELECT
        'order',
        order_key,
        item_key
    FROM order_items
    WHERE (first_seq < begin) AND ((order_key, item_key) IN (
        SELECT
            cityHash64(user_id, order_id),
            cityHash64(item_id)
        FROM events
        WHERE (event_type = 'purchase') AND (order_id != '')
    ))
    UNION ALL
    SELECT
        'order',
        order_key,
        0
    FROM order_items
    WHERE (first_seq < begin) AND (order_key IN (
        SELECT cityHash64(user_id, order_id)
        FROM events
        WHERE (event_type = 'purchase') AND (order_id != '')
    ))
    GROUP BY order_key
    UNION ALL
    SELECT
        'buyer',
        buyer_key,
        item_key
    FROM buyer_items
    WHERE (first_seq < begin) AND ((buyer_key, item_key) IN (
        SELECT
            cityHash64(user_id),
            cityHash64(item_id)
        FROM events
        WHERE event_type = 'purchase'
    ))
    UNION ALL
    SELECT
        'buyer',
        buyer_key,
        0
    FROM buyer_items
    WHERE (first_seq < begin) AND (buyer_key IN (
        SELECT cityHash64(user_id)
        FROM events
        WHERE event_type = 'purchase'
    ))
    GROUP BY buyer_key
    UNION ALL
    SELECT
        'session',
        session_key,
        item_key
    FROM session_items
    WHERE (first_seq < begin) AND ((session_key, item_key) IN (
        SELECT
            cityHash64(user_id, session_id),
            cityHash64(item_id)
        FROM events
        WHERE (event_type = 'view') AND (session_id != '')
    ))
    UNION ALL
    SELECT
        'session',
        session_key,
        0
    FROM session_items
    WHERE (first_seq < begin) AND (session_key IN (
        SELECT cityHash64(user_id, session_id)
        FROM events
        WHERE (event_type = 'view') AND (session_id != '')
    ))
    GROUP BY session_key
)
GROUP BY
    item_key,
    month
