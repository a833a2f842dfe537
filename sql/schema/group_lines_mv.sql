-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0062_group_lines_mv
-- Feeds group_lines. An order or a session belongs to its user: two users may use the same order_id. A purchase is a line of its
-- buyer, and of its order if it has one.

CREATE MATERIALIZED VIEW group_lines_mv TO group_lines
(
    `kind` UInt8,
    `group_key` UInt64,
    `item_key` UInt64,
    `first_seq` UInt64,
    `day` Date,
    `weight` Int64
)
AS SELECT
    (arrayJoin(multiIf(event_type = 'view', if(session_id = '', [], [(3, cityHash64(user_id, session_id))]), order_id = '', [(2, cityHash64(user_id))], [(1, cityHash64(user_id, order_id)), (2, cityHash64(user_id))])) AS belongs).1 AS kind,
    belongs.2 AS group_key,
    cityHash64(item_id) AS item_key,
    min(seq) AS first_seq,
    toDate(argMin(timestamp, seq)) AS day,
    toInt64(round(1000000. / sqrt(greatest(argMin(order_size, seq), 2)))) AS weight
FROM events
WHERE event_type IN ('purchase', 'view')
GROUP BY
    kind,
    group_key,
    item_key
