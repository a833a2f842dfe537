-- Purchases of an item in an order: the first one counts.
select cityHash64(user_id, order_id) as order_key, cityHash64(item_id) as item_key, seq as first_seq
from {{ database }}.events
where event_type = 'purchase' and order_id != ''
