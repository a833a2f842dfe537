-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds hourly_voices, from the feed voices: a voice counts at its place, and among all under place ''.
create materialized view if not exists shop.hourly_voices_mv on cluster 'shards' to shop.hourly_voices_local as
select arrayJoin(arrayDistinct(['', happened_at])) as place, hour, event_type, item_key, toInt64(count()) as voices
from shop.voices_local
group by place, hour, event_type, item_key
;
