-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds buyer_items.
create materialized view if not exists shop.buyer_items_mv on cluster 'shards' to shop.buyer_items_local as
select cityHash64(user_id) as buyer_key, cityHash64(item_id) as item_key, min(seq) as first_seq
from shop.events_local
where event_type = 'purchase'
group by buyer_key, item_key
;
