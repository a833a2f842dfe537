-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds item_users. Refunds are not counted.
create materialized view if not exists shop.item_users_mv on cluster 'shards' to shop.item_users_local as
select
    cityHash64(item_id) as item_key,
    user_id,
    event_type,
    if(event_type = 'purchase', events.order_id, '') as order_id,
    toInt64(count()) as events,
    max(timestamp) as last_time
from shop.events_local as events
where event_type not in ('impression', 'refund')
group by item_key, user_id, event_type, order_id
;
