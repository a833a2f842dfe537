-- Feeds place_hours. A place is a word, a path (Finland/Helsinki) or a whole number, of at most 256 bytes. Refunds are not counted.
create materialized view {{ database }}.place_hours_mv to {{ database }}.place_hours as
select
    JSONExtractString(properties, 'place') as place,
    toStartOfHour(toDateTime(timestamp, 'UTC')) as hour,
    event_type,
    cityHash64(item_id) as item_key,
    toInt64(count()) as events
from {{ database }}.events
where
    event_type != 'refund'
    and JSONType(properties, 'place') in ('String', 'Int64', 'UInt64')
    and length(place) between 1 and 256
group by place, hour, event_type, item_key
