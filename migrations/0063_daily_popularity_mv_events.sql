-- daily_popularity_mv leaves the orders to daily_popularity_orders_mv, a second view of the same table: the rows of both are
-- summed. The source has a name of its own, since an alias would win over its column.
alter table {{ database }}.daily_popularity_mv modify query
select
    toDate(timestamp) as day,
    event_type,
    arrayJoin([cityHash64(item_id), 0]) as item_key,
    toInt64(count()) as events,
    toInt64(0) as orders,
    toInt64(sum(event.quantity)) as quantity,
    sum(toDecimal128(event.price, 4) * event.quantity) as revenue
from {{ database }}.events as event
group by day, event_type, item_key
