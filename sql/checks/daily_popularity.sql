-- Days whose number of events or orders, quantity or revenue is not what the events say.
select day, event_type, item_key, sum(one) as events_difference, sum(two) as orders_difference,
    sum(three) as quantity_difference, sum(four) as revenue_difference
from (
    select day, event_type, item_key, events as one, orders as two, quantity as three, revenue as four
    from {{ database }}.daily_popularity
    union all
    select
        toDate(timestamp) as day,
        event_type,
        arrayJoin([cityHash64(item_id), 0]) as item_key,
        toInt64(-1) as one,
        toInt64(0) as two,
        -toInt64(quantity) as three,
        -toDecimal128(price, 4) * quantity as four
    from {{ database }}.events
    union all
    select toDate(timestamp) as day, 'purchase' as event_type, item_key, 0 as one, toInt64(-1) as two, 0 as three, 0 as four
    from (
        select arrayJoin([cityHash64(item_id), 0]) as item_key, timestamp
        from {{ database }}.events
        where event_type = 'purchase' and order_id != ''
        order by seq
        limit 1 by item_key, user_id, order_id
    )
)
group by day, event_type, item_key
having events_difference != 0 or orders_difference != 0 or quantity_difference != 0 or revenue_difference != 0
