-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0043_brought_embeddings
-- The vectors that came with items, of length 1, one row per item as last sent; empty where it came without. The newest version
-- wins: read with FINAL. Few rows to a granule, so that one vector is found without many others.

CREATE TABLE brought_embeddings
(
    `item_key` UInt64,
    `embedding` Array(Float32),
    `version` UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY item_key
SETTINGS index_granularity = 128
