-- Hours whose number of events is not what the events say.
select hour, event_type, item_key, category, sum(counted) as difference
from (
    select hour, event_type, item_key, category, events as counted
    from {{ database }}.item_hours
    union all
    select
        toStartOfHour(toDateTime(timestamp, 'UTC')) as hour,
        event_type,
        cityHash64(item_id) as item_key,
        category,
        toInt64(-1) as counted
    from {{ database }}.events
)
group by hour, event_type, item_key, category
having difference != 0
