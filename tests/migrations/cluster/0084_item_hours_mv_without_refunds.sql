-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds item_hours. Refunds are not counted.
create materialized view if not exists shop.item_hours_mv on cluster 'shards' to shop.item_hours_local as
select
    toStartOfHour(toDateTime(timestamp, 'UTC')) as hour,
    event_type,
    cityHash64(item_id) as item_key,
    category,
    toInt64(count()) as events
from shop.events_local
where event_type != 'refund'
group by hour, event_type, item_key, category
;
