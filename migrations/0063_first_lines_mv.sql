-- Feeds first_lines: decides once, for orders, buyers and sessions, which items of the block are new to their group. The histories
-- may or may not hold the block already, and in a rebuild later blocks too, so that "earlier" is decided by seq. The key of a group
-- is marked with the number of its kind, which only a row of the block has as its kind; a row of a history has 0. `group_lines` is
-- the block; it comes first, since a view listens to the leftmost table. One look at each history: a sub-query costs a small insert
-- more than its rows do. A partial sort, since groupArraySorted took ten times as long.
create materialized view {{ database }}.first_lines_mv to {{ database }}.first_lines as
with (select min(first_seq) from {{ database }}.group_lines) as begin
select kind, is_new, earlier, fresh
from (select 1 from {{ database }}.group_lines limit 1) as block
cross join (
    select
        max(line_kind) as kind,
        groupArrayIf(item_key, seq_of_first < begin) as known,
        groupArrayIf(seq_of_first, seq_of_first < begin) as seqs,
        empty(known) as is_new,
        arrayPartialReverseSort((item, seq) -> seq, 100, known, seqs) as latest,
        arrayReverse(arraySlice(latest, 1, if(kind = 1, 100, 20))) as earlier,
        groupArrayIf((seq_of_first, item_key, line_day, line_weight), seq_of_first >= begin and line_kind > 0) as added,
        arrayMap(line -> (line.2, line.3, line.4), arraySort(added)) as fresh
    from (
        select
            line_key,
            item_key,
            min(first_seq) as seq_of_first,
            max(line_kind) as line_kind,
            max(day) as line_day,
            max(weight) as line_weight
        from (
            select bitXor(group_key, toUInt8(kind)) as line_key, item_key, first_seq, toUInt8(kind) as line_kind, day, weight
            from {{ database }}.group_lines
            union all
            select bitXor(order_key, 1), item_key, first_seq, toUInt8(0), toDate(0), toInt64(0)
            from {{ database }}.order_items
            where order_key in (select group_key from {{ database }}.group_lines where kind = 'order')
            union all
            select bitXor(buyer_key, 2), item_key, first_seq, toUInt8(0), toDate(0), toInt64(0)
            from {{ database }}.buyer_items
            where buyer_key in (select group_key from {{ database }}.group_lines where kind = 'buyer')
            union all
            select bitXor(session_key, 3), item_key, first_seq, toUInt8(0), toDate(0), toInt64(0)
            from {{ database }}.session_items
            where session_key in (select group_key from {{ database }}.group_lines where kind = 'session')
        )
        group by line_key, item_key
    )
    group by line_key
) as groups
where notEmpty(fresh)
