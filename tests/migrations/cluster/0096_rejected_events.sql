-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Events and items that were posted over HTTP and rejected: the first 100 of each minute, with the reason. `alsobought dead-letters`
-- lists and replays them. topic is that of events or of items.
create view if not exists shop.rejected_events on cluster 'shards' as
select noted_at as rejected_at, topic, reason, encoding, body, replayed_at
from shop.dead_letters final
where source = 'http'
;
