-- Lines of orders whose first purchase is not where the events have it.
select order_key, item_key, groupUniqArray(first_line) as versions, groupUniqArray(side) as sides
from (
    select order_key, item_key, 'table' as side, min(first_seq) as first_line
    from {{ database }}.order_items
    group by order_key, item_key
    union all
    select
        cityHash64(user_id, order_id) as order_key,
        cityHash64(item_id) as item_key,
        'events' as side,
        min(seq) as first_line
    from {{ database }}.events
    where event_type = 'purchase' and order_id != ''
    group by order_key, item_key
)
group by order_key, item_key
having length(versions) != 1 or length(sides) != 2
