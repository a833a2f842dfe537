-- Feeds the orders of daily_popularity, from the feed first_lines: an order counts once per item, on the day of its first line
-- with the item, and once for all items (item_key 0) on the day of its first line.
create materialized view {{ database }}.daily_popularity_orders_mv to {{ database }}.daily_popularity as
select
    (arrayJoin(arrayConcat(fresh, if(is_new, [(0, fresh[1].2, 0)], []))) as line).2 as day,
    'purchase' as event_type,
    line.1 as item_key,
    toInt64(0) as events,
    toInt64(count()) as orders,
    toInt64(0) as quantity,
    toDecimal128(0, 4) as revenue
from {{ database }}.first_lines
where kind = 'order'
group by day, item_key
