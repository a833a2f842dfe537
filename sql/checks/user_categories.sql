-- Tastes whose number of events is not what the events say.
select user_id, category, event_type, sum(counted) as difference
from (
    select user_id, category, event_type, events as counted
    from {{ database }}.user_categories
    union all
    select user_id, category, event_type, toInt64(-1) as counted
    from {{ database }}.events
)
group by user_id, category, event_type
having difference != 0
