-- Each event but refunds, by user and day.
select
    user_id,
    toDate(timestamp) as day,
    event_type,
    cityHash64(item_id) as item_key,
    1 as events,
    seq as last_seq,
    seq as first_seq
from {{ database }}.events
where event_type != 'refund'
