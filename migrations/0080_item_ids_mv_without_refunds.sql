-- Feeds item_ids from the events. Refunds are not counted.
create materialized view {{ database }}.item_ids_mv to {{ database }}.item_ids as
select distinct cityHash64(item_id) as item_key, item_id
from {{ database }}.events
where event_type != 'refund'
