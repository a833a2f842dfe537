-- Feeds hourly_voices, from the feed voices: a voice counts at its place, and among all under place ''.
create materialized view {{ database }}.hourly_voices_mv to {{ database }}.hourly_voices as
select arrayJoin(arrayDistinct(['', happened_at])) as place, hour, event_type, item_key, toInt64(count()) as voices
from {{ database }}.voices
group by place, hour, event_type, item_key
