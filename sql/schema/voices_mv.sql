-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0110_voices_mv
-- Feeds voices. user_days may or may not hold the block already, and in a rebuild later blocks too, so that "earlier" is decided by seq:
-- a voice is new if the first event of its day is in the block. A place is a word, a path (Finland/Helsinki) or a whole number, of at
-- most 256 bytes. The block comes first, since a view listens to the leftmost table.

CREATE MATERIALIZED VIEW voices_mv TO voices
(
    `happened_at` String,
    `hour` DateTime('UTC'),
    `event_type` LowCardinality(String),
    `item_key` UInt64
)
AS SELECT
    happened_at,
    hour,
    event_type,
    item_key
FROM
(
    SELECT
        user_id,
        toDate(timestamp) AS day,
        event_type,
        cityHash64(item_id) AS item_key,
        toStartOfHour(toDateTime(argMin(timestamp, seq), 'UTC')) AS hour,
        argMin(if((JSONType(properties, 'place') IN ('String', 'Int64', 'UInt64')), JSONExtractString(properties, 'place'), ''), seq) AS found,
        if(length(found) <= 256, found, '') AS happened_at
    FROM events
    WHERE event_type NOT IN ('impression', 'refund', 'refunded_purchase')
    GROUP BY
        user_id,
        day,
        event_type,
        item_key
) AS block
WHERE (user_id, day, event_type, item_key) NOT IN (
    SELECT
        user_id,
        day,
        event_type,
        item_key
    FROM user_days
    WHERE (user_id IN (
        SELECT user_id
        FROM events
    )) AND (first_seq < (
        SELECT min(seq)
        FROM events
    ))
)
