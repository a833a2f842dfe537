-- Feeds buyer_items.
create materialized view {{ database }}.buyer_items_mv to {{ database }}.buyer_items as
select cityHash64(user_id) as buyer_key, cityHash64(item_id) as item_key, min(seq) as first_seq
from {{ database }}.events
where event_type = 'purchase'
group by buyer_key, item_key
