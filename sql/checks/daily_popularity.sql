-- Each event but refunds, for its item and for all items (item_key 0); each order counts for both on the day of its first line.
{% from 'macros/members.sql' import members with context %}
select
    toDate(timestamp) as day,
    event_type,
    arrayJoin([cityHash64(item_id), 0]) as item_key,
    1 as events,
    0 as orders,
    if(event_type = 'refunded_purchase', refunded, quantity - refunded) as quantity,
    toDecimal128(price, 4) * if(event_type = 'refunded_purchase', refunded, events.quantity - refunded) as revenue
from {{ database }}.events as events
where event_type != 'refund'
union all
select toDate(timestamp) as day, 'purchase' as event_type, item_key, 0 as events, 1 as orders, 0 as quantity, 0 as revenue
from (
{{ members('user_id, order_id', "event_type = 'purchase' and order_id != ''", 'order_items', 'order_key') }}
)
