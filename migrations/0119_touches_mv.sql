-- Feeds touches. Ids that are forged or have expired have the placement 0; refunds are no touch.
create materialized view {{ database }}.touches_mv to {{ database }}.touches as
select
    toDate(timestamp) as day,
    user_id,
    recommendation_id,
    cityHash64(item_id) as item_key,
    event_type,
    placement,
    recommended_at,
    min(position) as position,
    max(session_id) as session_id,
    min(timestamp) as first_time,
    min(seq) as first_seq,
    toInt64(count()) as events
from {{ database }}.events
where placement != 0 and event_type not in ('refund', 'refunded_purchase')
group by day, user_id, recommendation_id, item_key, event_type, placement, recommended_at
