-- Feeds daily_voices, from the feed voices.
create materialized view {{ database }}.daily_voices_mv to {{ database }}.daily_voices as
select toDate(hour) as day, event_type, item_key, toInt64(count()) as voices
from {{ database }}.voices
group by day, event_type, item_key
