-- The vectors of products, for other services: what `alsobought learn embeddings` made, or what came with
-- the product. All are of length 1, so that their dot product is their cosine. Vectors of different
-- models do not compare.
--
-- :item_id  String                 the product; repeat it
--
-- @key item_id
-- @cache 60s item_id
{% from 'catalogue.sql' import item %}
{% from 'embeddings.sql' import served, vectors_of %}
with {{ served() }} as serving, vectors as ({{ vectors_of(item_id, "serving.1") }})
select
    {{ item("item_id", "item_key") }} as item_id,
    embedding,
    if(serving .1 = '', 'brought', serving .1) as model,
    length(embedding) as dimensions
from vectors
order by item_id
limit 1000
