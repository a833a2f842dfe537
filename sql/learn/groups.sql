-- The items of each order, and of each session that viewed them, among items that are in `least` groups or more. `since` is a
-- seq, 0 for all. With `new`, only groups that hold an item without a vector.
with
    grouped as (
        select order_key as group_key, item_key
        from {{ database }}.order_items
        where first_seq >= {since:UInt64}
        group by group_key, item_key
        union all
        select session_key as group_key, item_key
        from {{ database }}.session_items
        where first_seq >= {since:UInt64}
        group by group_key, item_key
    ),
    frequent as (select item_key from grouped group by item_key having count() >= {least:UInt32})
select group_key, item_key
from grouped
where
    item_key in frequent
    and (
        not {new:Bool}
        or group_key in (
            select group_key
            from grouped
            where item_key in frequent and item_key not in (select item_key from {{ database }}.item_embeddings)
        )
    )
order by group_key, item_key
