-- Feeds user_days. Refunds are not counted.
create materialized view {{ database }}.user_days_mv to {{ database }}.user_days as
select
    user_id,
    toDate(timestamp) as day,
    event_type,
    cityHash64(item_id) as item_key,
    toInt64(count()) as events,
    max(seq) as last_seq,
    min(seq) as first_seq
from {{ database }}.events
where event_type != 'refund'
group by user_id, day, event_type, item_key
