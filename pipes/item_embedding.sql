-- The vectors of products, for other services: what `alsobought learn embeddings` made, or what came with
-- the product. All are of
-- length 1, so that their dot product is their cosine. Vectors of different models do not compare.
--
-- :item_id  String                 the product; repeat it
--
-- @key item_id
-- @cache 60s item_id
{% from 'catalogue.sql' import item %}
{% from 'embeddings.sql' import model, vectors_of %}
with {{ model() }} as model_now, vectors as ({{ vectors_of(item_id, "model_now") }})
select
    {{ item("item_id", "item_key") }} as item_id,
    embedding,
    model_now as model,
    length(embedding) as dimensions
from vectors
order by item_id
limit 1000
