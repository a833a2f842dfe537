-- Items of buyers whose first purchase is not where the events have it.
select buyer_key, item_key, groupUniqArray(first_line) as versions, groupUniqArray(side) as sides
from (
    select buyer_key, item_key, 'table' as side, min(first_seq) as first_line
    from {{ database }}.buyer_items
    group by buyer_key, item_key
    union all
    select cityHash64(user_id) as buyer_key, cityHash64(item_id) as item_key, 'events' as side, min(seq) as first_line
    from {{ database }}.events
    where event_type = 'purchase'
    group by buyer_key, item_key
)
group by buyer_key, item_key
having length(versions) != 1 or length(sides) != 2
