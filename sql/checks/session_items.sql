-- Views of an item in a session: the first one counts.
select cityHash64(user_id, session_id) as session_key, cityHash64(item_id) as item_key, seq as first_seq
from {{ database }}.events
where event_type = 'view' and session_id != ''
