-- Each event but refunds, by user and category.
select user_id, category, event_type, 1 as events
from {{ database }}.events
where event_type != 'refund'
