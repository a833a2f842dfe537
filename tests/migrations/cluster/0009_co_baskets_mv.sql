-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds co_baskets: every order of the block is its last 100 earlier items followed by its fresh ones, in order of first
-- appearance, and each fresh item is paired with its 100 predecessors: for each distance from 1 to 100, the walk beside
-- itself moved by that distance. So an order of n lines costs 100 n, not n * n, in time and memory.
-- `events` is the block here, wherever it stands; order_items may or may not hold the block already, so that "earlier"
-- is decided by seq. No GROUP BY over the pairs: the table sums them anyway, and that was a third of the time.
create materialized view if not exists shop.co_baskets_mv on cluster 'shards' to shop.co_baskets_local as
with
    earlier as (
        select order_key, item_key, min(first_seq) as seq_of_first
        from shop.order_items_local
        where order_key in (
            select cityHash64(user_id, order_id) from shop.events_local
            where event_type = 'purchase' and order_id != ''
        )
        group by order_key, item_key
        having seq_of_first < (select min(seq) from shop.events_local)
    ),
    lines as (
        select
            cityHash64(user_id, order_id) as order_key,
            cityHash64(item_id) as item_key,
            min(seq) as seq_of_first,
            toStartOfMonth(toDate(argMin(timestamp, seq))) as line_month,
            toInt64(round(1e6 / sqrt(greatest(argMin(order_size, seq), 2)))) as line_weight
        from shop.events_local
        where event_type = 'purchase' and order_id != ''
        group by order_key, item_key
    ),
    fresh as (
        select order_key, arraySort(groupArray((seq_of_first, item_key, line_month, line_weight))) as added
        from lines
        where (order_key, item_key) not in (select order_key, item_key from earlier)
        group by order_key
    ),
    orders as (
        select
            fresh.added as fresh_lines,
            arrayMap(line -> line.2, arraySlice(arraySort(history.firsts), -100)) as before,
            length(before) as known,
            arrayConcat(before, arrayMap(line -> line.2, fresh_lines)) as walk,
            length(walk) as size
        from fresh
        left join (
            select order_key, groupArray((seq_of_first, item_key)) as firsts from earlier group by order_key
        ) as history on fresh.order_key = history.order_key
    ),
    steps as (
        select
            arrayJoin(range(1, least(100, size - 1) + 1)) as distance,
            greatest(distance, known) + 1 as start,
            arraySlice(fresh_lines, start - known) as later_lines,
            arraySlice(walk, start - distance, size - start + 1) as predecessors
        from orders
        where size > 1
    )
select
    pair.1 as item_key,
    pair.2 as other_item_key,
    line_month as month,
    toInt64(1) as baskets,
    line_weight as weight
from (
    select arrayJoin([(line.2, predecessor), (predecessor, line.2)]) as pair, line.3 as line_month, line.4 as line_weight
    from steps
    array join later_lines as line, predecessors as predecessor
)
;
