-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0080_item_ids_mv_without_refunds
-- Feeds item_ids from the events. Refunds are not counted.

CREATE MATERIALIZED VIEW item_ids_mv TO item_ids
(
    `item_key` UInt64,
    `item_id` String
)
AS SELECT DISTINCT
    cityHash64(item_id) AS item_key,
    item_id
FROM events
WHERE event_type != 'refund'
