-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds co_views, from the feed first_lines: it pairs a session's fresh items with their 20 predecessors. For each
-- distance from 1 to 20, the walk beside itself moved by that distance: a session of n items costs 20 n, not n * n, in time and memory.
-- No GROUP BY over the pairs: the table sums them anyway.
create materialized view if not exists shop.co_views_mv on cluster 'shards' to shop.co_views_local as
select
    (arrayJoin([(line.1, predecessor), (predecessor, line.1)]) as pair).1 as item_key,
    pair.2 as other_item_key,
    toStartOfMonth(line.2) as month,
    toInt64(1) as sessions
from (
    select
        length(earlier) as known,
        arrayConcat(earlier, fresh.1) as walk,
        length(walk) as size,
        arrayJoin(range(1, least(20, size - 1) + 1)) as distance,
        greatest(distance, known) + 1 as start,
        arraySlice(fresh, start - known) as later_lines,
        arraySlice(walk, start - distance, size - start + 1) as predecessors
    from shop.first_lines_local
    where kind = 'session' and length(earlier) + length(fresh) > 1
)
array join later_lines as line, predecessors as predecessor
;
