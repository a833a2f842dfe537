-- Feeds item_hours. Refunds are not counted.
create materialized view {{ database }}.item_hours_mv to {{ database }}.item_hours as
select
    toStartOfHour(toDateTime(timestamp, 'UTC')) as hour,
    event_type,
    cityHash64(item_id) as item_key,
    category,
    toInt64(count()) as events
from {{ database }}.events
where event_type != 'refund'
group by hour, event_type, item_key, category
