-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds co_views, the way co_baskets_mv walks an order: a session's last 20 earlier items, then the fresh ones, paired with
-- their 20 predecessors. What was viewed earlier is in session_items, which may or may not hold the block already. It is
-- asked twice: for the items of the block, which is cheap, and for the latest of each group.
create materialized view if not exists shop.co_views_mv on cluster 'shards' to shop.co_views_local as
with
    lines as (
        select
            cityHash64(user_id, session_id) as group_key,
            cityHash64(item_id) as item_key,
            min(seq) as seq_of_first,
            toStartOfMonth(toDate(argMin(timestamp, seq))) as line_month
        from shop.events_local
        where event_type = 'view' and session_id != ''
        group by group_key, item_key
    ),
    fresh as (
        select group_key, arraySort(groupArray((seq_of_first, item_key, line_month))) as added
        from lines
        where (group_key, item_key) not in (
            select session_key, item_key
            from shop.session_items_local
            where (session_key, item_key) in (
                select cityHash64(user_id, session_id), cityHash64(item_id) from shop.events_local where event_type = 'view' and session_id != ''
            )
            and first_seq < (select min(seq) from shop.events_local)
        )
        group by group_key
    ),
    walks as (
        select
            fresh.added as fresh_lines,
            arrayMap(line -> line.2, arrayReverse(history.latest)) as before,
            length(before) as known,
            arrayConcat(before, arrayMap(line -> line.2, fresh_lines)) as walk,
            length(walk) as size
        from fresh
        left join (
            select group_key, groupArraySorted(20)((-toInt64(seq_of_first), item_key)) as latest
            from (
                select session_key as group_key, item_key, min(first_seq) as seq_of_first
                from shop.session_items_local
                where session_key in (select cityHash64(user_id, session_id) from shop.events_local where event_type = 'view' and session_id != '')
                group by group_key, item_key
                having seq_of_first < (select min(seq) from shop.events_local)
            )
            group by group_key
        ) as history on fresh.group_key = history.group_key
    ),
    steps as (
        select
            arrayJoin(range(1, least(20, size - 1) + 1)) as distance,
            greatest(distance, known) + 1 as start,
            arraySlice(fresh_lines, start - known) as later_lines,
            arraySlice(walk, start - distance, size - start + 1) as predecessors
        from walks
        where size > 1
    )
select pair.1 as item_key, pair.2 as other_item_key, line_month as month, toInt64(1) as sessions
from (
    select arrayJoin([(line.2, predecessor), (predecessor, line.2)]) as pair, line.3 as line_month
    from steps
    array join later_lines as line, predecessors as predecessor
)
;
