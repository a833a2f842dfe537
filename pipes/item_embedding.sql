-- The vectors of products, for other services: learned by `alsobought learn embeddings`, or sent with
-- the products. Each has length 1, so that the dot product of two is their cosine. Vectors of
-- different models cannot be compared.
--
-- :item_id  String  the product; repeat it
--
-- @key item_id
-- @cache 60s item_id
{% from 'catalogue.sql' import item %}
{% from 'embeddings.sql' import embedding_model, vectors_of %}
with {{ embedding_model() }} as serving, vectors as ({{ vectors_of(item_id, "serving.1") }})
select
    {{ item("item_id", "item_key") }} as item_id,
    embedding,
    if(serving .1 = '', 'brought', serving .1) as model,
    length(embedding) as dimensions
from vectors
order by item_id
limit 1000
