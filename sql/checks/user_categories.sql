-- Each event by user and category.
select user_id, category, event_type, 1 as events
from {{ database }}.events
