-- Feeds item_users. Refunds are not counted.
create materialized view {{ database }}.item_users_mv to {{ database }}.item_users as
select
    cityHash64(item_id) as item_key,
    user_id,
    event_type,
    if(event_type = 'purchase', events.order_id, '') as order_id,
    toInt64(count()) as events,
    max(timestamp) as last_time
from {{ database }}.events as events
where event_type not in ('impression', 'refund')
group by item_key, user_id, event_type, order_id
