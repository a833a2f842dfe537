-- Every event but impressions, by item, person and order.
select
    cityHash64(item_id) as item_key,
    user_id,
    event_type,
    if(event_type = 'purchase' and order_id != '', cityHash64(user_id, order_id), 0) as order_key,
    1 as events,
    timestamp as last_time
from {{ database }}.events
where event_type != 'impression'
