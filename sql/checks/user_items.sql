-- What users did with items, where the table and the events disagree.
select user_id, item_id, event_type, groupUniqArray(facts) as versions, groupUniqArray(side) as sides
from (
    select
        user_id,
        item_id,
        event_type,
        'table' as side,
        (sum(events), min(first_seq), max(last_seq), min(first_time), max(last_time)) as facts
    from {{ database }}.user_items
    group by user_id, item_id, event_type
    union all
    select
        user_id,
        item_id,
        event_type,
        'events' as side,
        (toInt64(count()), min(seq), max(seq), min(timestamp), max(timestamp)) as facts
    from {{ database }}.events
    group by user_id, item_id, event_type
)
group by user_id, item_id, event_type
having length(versions) != 1 or length(sides) != 2
