-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0002_item_ids
-- Turns the key of an item, cityHash64 of its id, back into the id; catalogued or not.
-- May hold a key several times until parts merge: read it with any(item_id) ... group by item_key.

CREATE TABLE item_ids
(
    `item_key` UInt64,
    `item_id` String
)
ENGINE = ReplacingMergeTree
ORDER BY item_key
SETTINGS non_replicated_deduplication_window = 1000, index_granularity = 8192
