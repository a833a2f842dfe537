-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds daily_popularity but for the orders, which daily_popularity_orders_mv adds: the rows of both are summed. Of a purchase
-- the pieces count that were not refunded, of a refunded one those that were. The source has a name of its own, since an alias would
-- win over its column.
create materialized view if not exists shop.daily_popularity_mv on cluster 'shards' to shop.daily_popularity_local as
select
    toDate(timestamp) as day,
    event_type,
    arrayJoin([cityHash64(item_id), 0]) as item_key,
    toInt64(count()) as events,
    toInt64(0) as orders,
    toInt64(sum(if(event_type = 'refunded_purchase', event.refunded, event.quantity - event.refunded))) as quantity,
    sum(toDecimal128(event.price, 4) * if(event_type = 'refunded_purchase', event.refunded, event.quantity - event.refunded)) as revenue
from shop.events_local as event
where event_type != 'refund'
group by day, event_type, item_key
;
