-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/test_migrations_cluster.py`.

-- Feeds item_totals: an item counts for an order, a person or a session with its first line there. Whether there was an
-- earlier one is decided by seq, from the histories that the pair views use.
create materialized view if not exists shop.item_totals_mv on cluster 'shards' to shop.item_totals_local as
with
    earlier as (
        select 'order' as kind, order_key as group_key, item_key as member_key
        from shop.order_items_local
        where order_key in (
            select cityHash64(user_id, order_id) from shop.events_local
            where event_type = 'purchase' and order_id != ''
        )
        group by group_key, member_key
        having min(first_seq) < (select min(seq) from shop.events_local)
        union all
        select 'buyer' as kind, cityHash64(user_id) as group_key, cityHash64(item_id) as member_key
        from shop.user_items_local
        where event_type = 'purchase' and user_id in (
            select user_id from shop.events_local where event_type = 'purchase'
        )
        group by group_key, member_key
        having min(first_seq) < (select min(seq) from shop.events_local)
        union all
        select 'session' as kind, session_key as group_key, item_key as member_key
        from shop.session_items_local
        where session_key in (
            select cityHash64(user_id, session_id) from shop.events_local
            where event_type = 'view' and session_id != ''
        )
        group by group_key, member_key
        having min(first_seq) < (select min(seq) from shop.events_local)
    ),
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
where (kind, group_key, member_key) not in (select kind, group_key, arrayJoin([member_key, 0]) from earlier)
group by item_key, month
;
