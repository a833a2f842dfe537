-- What a user did with each item, and in each category, however long ago: what for_you, recently_viewed and buy_again read.
-- `habit` is the number of events, each active day counting .95 of the next one; impressions are no habit.
--
-- @key user_id
select
    user_id,
    groupArrayIf(
        (item_key, event_type, toUInt32(times), toFloat32(decayed), first_at, last_at, newest_seq), item_key != 0
    ) as items,
    groupArrayIf((category, event_type, toUInt32(times)), item_key = 0) as categories
from
    (
        select
            user_id,
            item_key,
            category,
            event_type,
            sum(events) as times,
            sum(habit) as decayed,
            min(first_time) as first_at,
            max(last_time) as last_at,
            max(last_seq) as newest_seq
        from
            (
                select
                    user_id,
                    cityHash64(item_id) as item_key,
                    '' as category,
                    event_type,
                    user_items.events as events,
                    0. as habit,
                    user_items.first_time as first_time,
                    user_items.last_time as last_time,
                    user_items.last_seq as last_seq
                from {{ database }}.user_items
                where {{ picks("user_id") }}
                union all
                select user_id, item_key, '', event_type, 0, events * pow(0.95, nth - 1), max_time, min_time, 0
                from
                    (
                        select
                            user_id,
                            item_key,
                            event_type,
                            user_days.events as events,
                            dense_rank() over (partition by user_id order by day desc) as nth,
                            toDateTime64('2299-01-01 00:00:00', 3, 'UTC') as max_time,
                            toDateTime64('1900-01-01 00:00:00', 3, 'UTC') as min_time
                        from {{ database }}.user_days
                        where {{ picks("user_id") }} and event_type != 'impression'
                    )
                union all
                select
                    user_id,
                    0,
                    category,
                    event_type,
                    events,
                    0.,
                    toDateTime64('2299-01-01 00:00:00', 3, 'UTC'),
                    toDateTime64('1900-01-01 00:00:00', 3, 'UTC'),
                    0
                from {{ database }}.user_categories
                where {{ picks("user_id") }}
            )
        group by user_id, item_key, category, event_type
        having times > 0
        order by user_id, newest_seq, item_key, category, event_type
    )
group by user_id
