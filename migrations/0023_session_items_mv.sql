-- Feeds session_items. A session belongs to its user: two users may use the same session_id.
create materialized view {{ database }}.session_items_mv to {{ database }}.session_items as
select cityHash64(user_id, session_id) as session_key, cityHash64(item_id) as item_key, min(seq) as first_seq
from {{ database }}.events
where event_type = 'view' and session_id != ''
group by session_key, item_key
