-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0001_items
-- The catalogue: one row per item as last sent; the newest version wins.
-- Read it with FINAL, or through the dictionary `catalogue`, which is cheaper.
--
-- 0042_items_embedding
-- A vector of the shop's own for an item, of its picture or its text; empty for none. It is served from brought_embeddings.

CREATE TABLE items
(
    `item_id` String,
    `title` String,
    `category` String,
    `brand` String,
    `price` Decimal(18, 4),
    `available` Bool,
    `image` String,
    `attributes` Map(String, String),
    `version` UInt64,
    `updated_at` DateTime64(3, 'UTC'),
    `embedding` Array(Float32)
)
ENGINE = ReplacingMergeTree(version)
ORDER BY item_id
SETTINGS index_granularity = 8192
