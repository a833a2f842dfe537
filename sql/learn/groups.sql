-- Which items stand in an order, or were viewed in a session, with at least two of those that stand in `least` groups or more.
-- since is a seq: 0 for all. Only groups that hold one of the items without a vector, where `new` asks for that.
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
