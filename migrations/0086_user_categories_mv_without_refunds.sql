-- Feeds user_categories. Refunds are not counted.
create materialized view {{ database }}.user_categories_mv to {{ database }}.user_categories as
select user_id, category, event_type, toInt64(count()) as events
from {{ database }}.events
where event_type != 'refund'
group by user_id, category, event_type
