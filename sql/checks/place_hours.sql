-- Each event with a place but refunds, in its hour.
select
    JSONExtractString(properties, 'place') as place, toStartOfHour(toDateTime(timestamp, 'UTC')) as hour, event_type,
    cityHash64(item_id) as item_key, 1 as events
from {{ database }}.events
where
    event_type != 'refund'
    and JSONType(properties, 'place') in ('String', 'Int64', 'UInt64')
    and length(place) between 1 and 256
