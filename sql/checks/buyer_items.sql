-- Every purchase of an item by a person: the first of them counts.
select cityHash64(user_id) as buyer_key, cityHash64(item_id) as item_key, seq as first_seq
from {{ database }}.events
where event_type = 'purchase'
