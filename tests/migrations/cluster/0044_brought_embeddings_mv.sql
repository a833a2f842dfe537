-- Untested here: no cluster has run it. Made by `GOLDEN=write python -m pytest tests/migrations/test_cluster.py`.

-- Feeds brought_embeddings: a vector that came with an item is searched at once.
create materialized view if not exists shop.brought_embeddings_mv on cluster 'shards' to shop.brought_embeddings_local as
select
    cityHash64(item_id) as item_key,
    arrayMap(x -> toFloat32(x / sqrt(arraySum(y -> toFloat64(y) * y, items.embedding))), items.embedding) as embedding,
    version
from shop.items_local as items
;
