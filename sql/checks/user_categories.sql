-- Every event in the taste of its user.
select user_id, category, event_type, 1 as events
from {{ database }}.events
