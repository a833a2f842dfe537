-- The key of every item.
select cityHash64(item_id) as item_key, item_id
from {{ database }}.events
where event_type != 'refund'
