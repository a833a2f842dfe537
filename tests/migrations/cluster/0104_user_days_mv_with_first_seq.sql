-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds user_days. Refunds are not counted.
create materialized view if not exists shop.user_days_mv on cluster 'shards' to shop.user_days_local as
select
    user_id,
    toDate(timestamp) as day,
    event_type,
    cityHash64(item_id) as item_key,
    toInt64(count()) as events,
    max(seq) as last_seq,
    min(seq) as first_seq
from shop.events_local
where event_type != 'refund'
group by user_id, day, event_type, item_key
;
