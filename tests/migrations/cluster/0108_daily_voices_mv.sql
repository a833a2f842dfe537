-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds daily_voices, from the feed voices.
create materialized view if not exists shop.daily_voices_mv on cluster 'shards' to shop.daily_voices_local as
select toDate(hour) as day, event_type, item_key, toInt64(count()) as voices
from shop.voices_local
group by day, event_type, item_key
;
