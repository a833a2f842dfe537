-- The items bought between two times in orders of several items, with the expected number of times that each is shown if one
-- item of every order is drawn as the shown one; the most frequent first.
with
    lines as (
        select cityHash64(user_id, order_id) as order_key, cityHash64(item_id) as item_key
        from {{ database }}.events
        where
            event_type = 'purchase'
            and order_id != ''
            and timestamp >= toDateTime({begin:UInt32}, 'UTC')
            and timestamp < toDateTime64({until:UInt32}, 3, 'UTC')
        group by order_key, item_key
    ),
    sized as (
        select groupArray(item_key) as members, length(members) as size
        from lines
        group by order_key
        having size between 2 and 100
    )
select arrayJoin(members) as item_key, sum(1 / size) as asked, toUInt64(sum(1)) as orders
from sized
group by item_key
order by asked desc, item_key
limit {items:UInt32}
