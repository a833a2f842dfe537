-- Feeds group_lines. An order or a session belongs to its user: two users may use the same order_id. A purchase is a line of its
-- buyer, and of its order if it has one.
create materialized view {{ database }}.group_lines_mv to {{ database }}.group_lines as
select
    (arrayJoin(multiIf(
        event_type = 'view', if(session_id = '', [], [(3, cityHash64(user_id, session_id))]),
        order_id = '', [(2, cityHash64(user_id))],
        [(1, cityHash64(user_id, order_id)), (2, cityHash64(user_id))]
    )) as belongs).1 as kind,
    belongs.2 as group_key,
    cityHash64(item_id) as item_key,
    min(seq) as first_seq,
    toDate(argMin(timestamp, seq)) as day,
    toInt64(round(1e6 / sqrt(greatest(argMin(order_size, seq), 2)))) as weight
from {{ database }}.events
where event_type in ('purchase', 'view')
group by kind, group_key, item_key
