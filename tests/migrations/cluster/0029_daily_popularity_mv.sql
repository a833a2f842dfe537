-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds daily_popularity. An order that had a line with the item before this block does not count again: order_items knows.
-- The source has a name of its own, since an alias would win over its column.
create materialized view if not exists shop.daily_popularity_mv on cluster 'shards' to shop.daily_popularity_local as
with
    (select min(seq) from shop.events_local) as begin,
    earlier as (
        select order_key, arrayJoin([item_key, 0]) as member_key
        from shop.order_items_local
        where first_seq < begin and order_key in (
            select cityHash64(user_id, order_id) from shop.events_local
            where event_type = 'purchase' and order_id != ''
        )
    ),
    firsts as (
        select
            cityHash64(user_id, order_id) as order_key,
            arrayJoin([cityHash64(item_id), 0]) as member_key,
            min(seq) as first_seq
        from shop.events_local
        where event_type = 'purchase' and order_id != ''
        group by order_key, member_key
    )
select
    toDate(timestamp) as day,
    event_type,
    arrayJoin([cityHash64(item_id), 0]) as item_key,
    toInt64(count()) as events,
    toInt64(countIf((seq, item_key) in (
        select first_seq, member_key from firsts
        where (order_key, member_key) not in (select order_key, member_key from earlier)
    ))) as orders,
    toInt64(sum(event.quantity)) as quantity,
    sum(toDecimal128(event.price, 4) * event.quantity) as revenue
from shop.events_local as event
group by day, event_type, item_key
;
