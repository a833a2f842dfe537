-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds item_ids from the events. Refunds are not counted.
create materialized view if not exists shop.item_ids_mv on cluster 'shards' to shop.item_ids_local as
select distinct cityHash64(item_id) as item_key, item_id
from shop.events_local
where event_type != 'refund'
;
