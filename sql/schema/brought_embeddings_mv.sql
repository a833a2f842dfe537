-- Made by `alsobought migrate schema` from migrations/: edit those, not this.
--
-- 0044_brought_embeddings_mv
-- Feeds brought_embeddings: a vector that came with an item is searched at once.

CREATE MATERIALIZED VIEW brought_embeddings_mv TO brought_embeddings
(
    `item_key` UInt64,
    `embedding` Array(Float32),
    `version` UInt64
)
AS SELECT
    cityHash64(item_id) AS item_key,
    arrayMap(x -> toFloat32(x / sqrt(arraySum(y -> (toFloat64(y) * y), items.embedding))), items.embedding) AS embedding,
    version
FROM items AS items
