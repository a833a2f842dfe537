-- What a user did with each item, however long ago: what for_you, recently_viewed and buy_again read. `habit` is the number of
-- events, each active day counting .95 of the next one; an impression is no habit.
--
-- @key user_id
select
    user_id,
    arraySort(
        one -> (tupleElement(one, 7), tupleElement(one, 1), tupleElement(one, 2)),
        groupArray((item_key, event_type, toUInt32(times), toFloat32(decayed), first_at, last_at, newest_seq))
    ) as items
from
    (
        select
            user_id,
            item_key,
            event_type,
            sum(part.events) as times,
            sum(part.habit) as decayed,
            min(part.first_time) as first_at,
            max(part.last_time) as last_at,
            max(part.last_seq) as newest_seq
        from
            (
                select user_id, cityHash64(item_id) as item_key, event_type, events, 0. as habit, first_time, last_time, last_seq
                from {{ database }}.user_items
                where {{ picks("user_id") }}
                union all
                select
                    user_id,
                    item_key,
                    event_type,
                    0,
                    events * pow(0.95, dense_rank() over (partition by user_id order by day desc) - 1),
                    toDateTime64('2299-01-01 00:00:00', 3, 'UTC'),
                    toDateTime64('1900-01-01 00:00:00', 3, 'UTC'),
                    0
                from {{ database }}.user_days
                where {{ picks("user_id") }} and event_type != 'impression'
            ) as part
        group by user_id, item_key, event_type
        having times > 0
    )
group by user_id
