-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0001_items
-- The catalogue: one row per item as last sent; the newest version wins.
-- Read it with FINAL, or through the dictionary `catalogue`, which is cheaper.
--
-- 0038_items_owner
-- Whose offer an item is, a user_id: nobody is offered their own. Empty for the shop's.
--
-- 0042_items_embedding
-- A vector of the shop's own for an item, of its picture or its text; empty for none. It is served from brought_embeddings.
--
-- 0075_items_shelf
-- What a shelf shows of an item besides, and what an item is: its address, currency, price before a reduction, stock (null: not known),
-- the group of its variants, tags, and titles by language. first_seen is when the first post about it was stored; published_at, which the
-- shop may send, is since when it has the item. A removed item is kept as an empty row that is not available.

CREATE TABLE items
(
    `item_id` String,
    `title` String,
    `titles` Map(String, String),
    `category` String,
    `brand` String,
    `price` Decimal(18, 4),
    `list_price` Decimal(18, 4),
    `currency` LowCardinality(String),
    `available` Bool,
    `stock` Nullable(Int32),
    `url` String,
    `image` String,
    `group_id` String,
    `tags` Array(String),
    `owner` String,
    `attributes` Map(String, String),
    `version` UInt64,
    `updated_at` DateTime64(3, 'UTC'),
    `embedding` Array(Float32),
    `published_at` Nullable(DateTime64(3, 'UTC')),
    `first_seen` DateTime64(3, 'UTC') DEFAULT updated_at,
    `removed` Bool
)
ENGINE = ReplacingMergeTree(version)
ORDER BY item_id
SETTINGS index_granularity = 8192
