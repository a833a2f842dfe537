-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds user_items. Refunds are not counted.
create materialized view if not exists shop.user_items_mv on cluster 'shards' to shop.user_items_local as
select
    user_id,
    item_id,
    event_type,
    toInt64(count()) as events,
    min(seq) as first_seq,
    max(seq) as last_seq,
    min(timestamp) as first_time,
    max(timestamp) as last_time
from shop.events_local
where event_type != 'refund'
group by user_id, item_id, event_type
;
