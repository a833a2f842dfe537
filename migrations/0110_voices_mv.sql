-- Feeds voices. user_days may or may not hold the block already, and in a rebuild later blocks too, so that "earlier" is decided by seq:
-- a voice is new if the first event of its day is in the block. A place is a word, a path (Finland/Helsinki) or a whole number, of at
-- most 256 bytes. The block comes first, since a view listens to the leftmost table.
create materialized view {{ database }}.voices_mv to {{ database }}.voices as
select happened_at, hour, event_type, item_key
from (
    select
        user_id,
        toDate(timestamp) as day,
        event_type,
        cityHash64(item_id) as item_key,
        toStartOfHour(toDateTime(argMin(timestamp, seq), 'UTC')) as hour,
        argMin(if(JSONType(properties, 'place') in ('String', 'Int64', 'UInt64'), JSONExtractString(properties, 'place'), ''), seq) as found,
        if(length(found) <= 256, found, '') as happened_at
    from {{ database }}.events
    where event_type not in ('impression', 'refund', 'refunded_purchase')
    group by user_id, day, event_type, item_key
) as block
where (user_id, day, event_type, item_key) not in (
    select user_id, day, event_type, item_key
    from {{ database }}.user_days
    where
        user_id in (select user_id from {{ database }}.events)
        and first_seq < (select min(seq) from {{ database }}.events)
)
