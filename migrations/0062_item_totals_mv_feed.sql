-- item_totals_mv reads the feed first_lines instead of events: an item counts for an order, a buyer or a session with its first
-- line there. item_key 0 stands for all items: it counts with the first line of all.
alter table {{ database }}.item_totals_mv modify query
select
    (arrayJoin(arrayConcat(fresh, if(is_new, [(0, fresh[1].2, 0)], []))) as line).1 as item_key,
    toStartOfMonth(line.2) as month,
    toInt64(countIf(kind = 'order')) as orders,
    toInt64(countIf(kind = 'buyer')) as buyers,
    toInt64(countIf(kind = 'session')) as sessions
from {{ database }}.first_lines
group by item_key, month
