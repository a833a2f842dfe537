-- Feeds brought_embeddings: a vector that came with an item is searched at once.
create materialized view {{ database }}.brought_embeddings_mv to {{ database }}.brought_embeddings as
select
    cityHash64(item_id) as item_key,
    arrayMap(x -> toFloat32(x / sqrt(arraySum(y -> toFloat64(y) * y, items.embedding))), items.embedding) as embedding,
    version
from {{ database }}.items as items
