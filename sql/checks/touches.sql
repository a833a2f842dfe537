-- Each event of a recommended item whose recommendation_id is valid.
select
    toDate(timestamp) as day,
    user_id,
    recommendation_id,
    cityHash64(item_id) as item_key,
    event_type,
    placement,
    recommended_at,
    position,
    session_id,
    timestamp as first_time,
    seq as first_seq,
    1 as events
from {{ database }}.events
where placement > 0 and event_type not in ('refund', 'refunded_purchase')
