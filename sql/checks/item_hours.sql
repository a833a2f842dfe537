-- Each event but refunds, in its hour.
select
    toStartOfHour(toDateTime(timestamp, 'UTC')) as hour, event_type, cityHash64(item_id) as item_key, category, 1 as events
from {{ database }}.events
where event_type != 'refund'
