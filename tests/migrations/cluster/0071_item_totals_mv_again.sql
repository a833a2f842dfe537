-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds item_totals, from the feed first_lines: an item counts for an order, a buyer or a session with its first
-- line there. item_key 0 stands for all items: it counts with the first line of all.
create materialized view if not exists shop.item_totals_mv on cluster 'shards' to shop.item_totals_local as
select
    (arrayJoin(arrayConcat(fresh, if(is_new, [(0, fresh[1].2, 0)], []))) as line).1 as item_key,
    toStartOfMonth(line.2) as month,
    toInt64(countIf(kind = 'order')) as orders,
    toInt64(countIf(kind = 'buyer')) as buyers,
    toInt64(countIf(kind = 'session')) as sessions
from shop.first_lines_local
group by item_key, month
;
