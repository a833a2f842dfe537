-- Items of sessions whose first view is not where the events have it.
select session_key, item_key, groupUniqArray(first_view) as versions, groupUniqArray(side) as sides
from (
    select session_key, item_key, 'table' as side, min(first_seq) as first_view
    from {{ database }}.session_items
    group by session_key, item_key
    union all
    select
        cityHash64(user_id, session_id) as session_key,
        cityHash64(item_id) as item_key,
        'events' as side,
        min(seq) as first_view
    from {{ database }}.events
    where event_type = 'view' and session_id != ''
    group by session_key, item_key
)
group by session_key, item_key
having length(versions) != 1 or length(sides) != 2
