-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds item_totals: an item counts for an order, a person or a session with its first line there. Whether there was an
-- earlier one is decided by seq, from the histories that the pair views use. member_key 0 stands for all items of a group.
create materialized view if not exists shop.item_totals_mv on cluster 'shards' to shop.item_totals_local as
with
    (select min(seq) from shop.events_local) as begin,
    lines as (
        select
            arrayJoin(arrayFilter(one -> one.2, [
                ('order', event_type = 'purchase' and order_id != '', cityHash64(user_id, order_id)),
                ('buyer', event_type = 'purchase', cityHash64(user_id)),
                ('session', event_type = 'view' and session_id != '', cityHash64(user_id, session_id))
            ])) as belongs,
            belongs.1 as kind,
            belongs.3 as group_key,
            arrayJoin([cityHash64(item_id), 0]) as member_key,
            toStartOfMonth(toDate(argMin(timestamp, seq))) as line_month
        from shop.events_local
        where event_type in ('purchase', 'view')
        group by belongs, kind, group_key, member_key
    )
select
    member_key as item_key,
    line_month as month,
    toInt64(countIf(kind = 'order')) as orders,
    toInt64(countIf(kind = 'buyer')) as buyers,
    toInt64(countIf(kind = 'session')) as sessions
from lines
where (kind, group_key, member_key) not in (
    select 'order', order_key, item_key
    from shop.order_items_local
    where first_seq < begin and (order_key, item_key) in (
        select cityHash64(user_id, order_id), cityHash64(item_id) from shop.events_local where event_type = 'purchase' and order_id != ''
    )
    union all
    select 'order', order_key, 0
    from shop.order_items_local
    where first_seq < begin and order_key in (select cityHash64(user_id, order_id) from shop.events_local where event_type = 'purchase' and order_id != '')
    group by order_key
    union all
    select 'buyer', buyer_key, item_key
    from shop.buyer_items_local
    where first_seq < begin and (buyer_key, item_key) in (
        select cityHash64(user_id), cityHash64(item_id) from shop.events_local where event_type = 'purchase'
    )
    union all
    select 'buyer', buyer_key, 0
    from shop.buyer_items_local
    where first_seq < begin and buyer_key in (select cityHash64(user_id) from shop.events_local where event_type = 'purchase')
    group by buyer_key
    union all
    select 'session', session_key, item_key
    from shop.session_items_local
    where first_seq < begin and (session_key, item_key) in (
        select cityHash64(user_id, session_id), cityHash64(item_id) from shop.events_local where event_type = 'view' and session_id != ''
    )
    union all
    select 'session', session_key, 0
    from shop.session_items_local
    where first_seq < begin and session_key in (select cityHash64(user_id, session_id) from shop.events_local where event_type = 'view' and session_id != '')
    group by session_key
)
group by item_key, month
;
