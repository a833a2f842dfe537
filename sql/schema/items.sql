-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0001_items
-- The catalogue: one row per item as last sent; the newest version wins.
-- Read it with FINAL, or through the dictionary `catalogue`, which is cheaper.
--
-- 0038_items_owner
-- Whose offer an item is, a user_id: nobody is offered their own. Empty for the shop's.

CREATE TABLE items
(
    `item_id` String,
    `title` String,
    `category` String,
    `brand` String,
    `price` Decimal(18, 4),
    `available` Bool,
    `image` String,
    `owner` String,
    `attributes` Map(String, String),
    `version` UInt64,
    `updated_at` DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(version)
ORDER BY item_id
SETTINGS index_granularity = 8192
