-- Feeds user_items. Refunds are not counted.
create materialized view {{ database }}.user_items_mv to {{ database }}.user_items as
select
    user_id,
    item_id,
    event_type,
    toInt64(count()) as events,
    min(seq) as first_seq,
    max(seq) as last_seq,
    min(timestamp) as first_time,
    max(timestamp) as last_time
from {{ database }}.events
where event_type != 'refund'
group by user_id, item_id, event_type
