-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds order_items. An order belongs to its user: two users may use the same order_id.
create materialized view if not exists shop.order_items_mv on cluster 'shards' to shop.order_items_local as
select cityHash64(user_id, order_id) as order_key, cityHash64(item_id) as item_key, min(seq) as first_seq
from shop.events_local
where event_type = 'purchase' and order_id != ''
group by order_key, item_key
;
