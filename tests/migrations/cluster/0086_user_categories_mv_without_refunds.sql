-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds user_categories. Refunds are not counted.
create materialized view if not exists shop.user_categories_mv on cluster 'shards' to shop.user_categories_local as
select user_id, category, event_type, toInt64(count()) as events
from shop.events_local
where event_type != 'refund'
group by user_id, category, event_type
;
