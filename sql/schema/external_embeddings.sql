-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0054_external_embeddings
-- The vectors that came with items, of length 1: one row per item, the newest version. FINAL is in the view, so a reader needs none.

CREATE VIEW external_embeddings
(
    `item_key` UInt64,
    `embedding` Array(Float32),
    `version` UInt64
)
AS SELECT
    item_key,
    embedding,
    version
FROM brought_embeddings
FINAL
