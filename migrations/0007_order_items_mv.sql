-- Feeds order_items. An order belongs to its user: two users may use the same order_id.
create materialized view {{ database }}.order_items_mv to {{ database }}.order_items as
select cityHash64(user_id, order_id) as order_key, cityHash64(item_id) as item_key, min(seq) as first_seq
from {{ database }}.events
where event_type = 'purchase' and order_id != ''
group by order_key, item_key
