-- Events and items that were posted over HTTP and rejected: the first 100 of each minute, with the reason. `alsobought dead-letters`
-- lists and replays them. topic is that of events or of items.
create view {{ database }}.rejected_events as
select noted_at as rejected_at, topic, reason, encoding, body, replayed_at
from {{ database }}.dead_letters final
where source = 'http'
