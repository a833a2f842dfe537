-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds place_hours. A place is a word, a path (Finland/Helsinki) or a whole number, of at most 256 bytes. Refunds are not counted.
create materialized view if not exists shop.place_hours_mv on cluster 'shards' to shop.place_hours_local as
select
    JSONExtractString(properties, 'place') as place,
    toStartOfHour(toDateTime(timestamp, 'UTC')) as hour,
    event_type,
    cityHash64(item_id) as item_key,
    toInt64(count()) as events
from shop.events_local
where
    event_type != 'refund'
    and JSONType(properties, 'place') in ('String', 'Int64', 'UInt64')
    and length(place) between 1 and 256
group by place, hour, event_type, item_key
;
