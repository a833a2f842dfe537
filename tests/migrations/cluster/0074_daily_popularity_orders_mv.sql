-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds the orders of daily_popularity, from the feed first_lines: an order counts once per item, on the day of its first line
-- with the item, and once for all items (item_key 0) on the day of its first line.
create materialized view if not exists shop.daily_popularity_orders_mv on cluster 'shards' to shop.daily_popularity_local as
select
    (arrayJoin(arrayConcat(fresh, if(is_new, [(0, fresh[1].2, 0)], []))) as line).2 as day,
    'purchase' as event_type,
    line.1 as item_key,
    toInt64(0) as events,
    toInt64(count()) as orders,
    toInt64(0) as quantity,
    toDecimal128(0, 4) as revenue
from shop.first_lines_local
where kind = 'order'
group by day, item_key
;
