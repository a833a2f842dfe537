-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds session_items. A session belongs to its user: two users may use the same session_id.
create materialized view if not exists shop.session_items_mv on cluster 'shards' to shop.session_items_local as
select cityHash64(user_id, session_id) as session_key, cityHash64(item_id) as item_key, min(seq) as first_seq
from shop.events_local
where event_type = 'view' and session_id != ''
group by session_key, item_key
;
