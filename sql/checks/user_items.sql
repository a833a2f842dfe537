-- Each event but refunds, by user and item.
select
    user_id,
    item_id,
    event_type,
    1 as events,
    seq as first_seq,
    seq as last_seq,
    timestamp as first_time,
    timestamp as last_time
from {{ database }}.events
where event_type != 'refund'
