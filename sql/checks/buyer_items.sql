-- Purchases of an item by a user: the first one counts.
select cityHash64(user_id) as buyer_key, cityHash64(item_id) as item_key, seq as first_seq
from {{ database }}.events
where event_type = 'purchase'
