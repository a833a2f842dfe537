-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0096_rejected_events
-- Events and items that were posted over HTTP and rejected: the first 100 of each minute, with the reason. `alsobought dead-letters`
-- lists and replays them. topic is that of events or of items.

CREATE VIEW rejected_events
(
    `rejected_at` DateTime64(3, 'UTC'),
    `topic` LowCardinality(String),
    `reason` String,
    `encoding` LowCardinality(String),
    `body` String,
    `replayed_at` Nullable(DateTime64(3, 'UTC'))
)
AS SELECT
    noted_at AS rejected_at,
    topic,
    reason,
    encoding,
    body,
    replayed_at
FROM dead_letters
FINAL
WHERE source = 'http'
