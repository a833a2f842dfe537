-- Each event but impressions and refunds, by item, user and order.
select
    cityHash64(item_id) as item_key,
    user_id,
    event_type,
    if(event_type = 'purchase', events.order_id, '') as order_id,
    1 as events,
    timestamp as last_time
from {{ database }}.events as events
where event_type not in ('impression', 'refund')
