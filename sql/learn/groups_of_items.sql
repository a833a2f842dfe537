-- The number of orders and sessions of each item.
select item_key, count() as groups
from
    (
        select order_key as group_key, item_key from {{ database }}.order_items group by all
        union all
        select session_key as group_key, item_key from {{ database }}.session_items group by all
    )
group by item_key
order by item_key
