-- Keys without their id, ids without their key.
select item_key, groupUniqArray(item_id) as ids, groupUniqArray(side) as sides
from (
    select item_key, item_id, 'table' as side from {{ database }}.item_ids
    union all
    select cityHash64(item_id) as item_key, item_id, 'events' as side from {{ database }}.events
)
group by item_key
having length(ids) != 1 or length(sides) != 2
