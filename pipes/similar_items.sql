-- Products close to this one, or to several at once. `alsobought learn embeddings` says close in what: in
-- what people buy with
-- them, in words, or in the shop's own vectors; vectors that come with products count at once, learnt or not.
--
-- :item_id    Array(String)         the product on the page; several are taken together: repeat it
-- :limit      UInt16 = 10 (1..100)  how many
-- :exclude    Array(String)?        leave out these items; repeat it
-- :category   String?               only products of this category, or below it
-- :brand      Array(String)?        only products of these brands
-- :min_price  Float64? (0..1e12)    only products that cost at least this
-- :max_price  Float64? (0..1e12)    only products that cost at most this
--
-- @cache 60s item_id
-- @fallback similar_by_attributes
{% from 'catalogue.sql' import item, keys_of %}
{% from 'lists.sql' import may_show %}
{% from 'embeddings.sql' import indexed_version, model, vectors_of %}
with
    {{ model() }} as kind,
    {{ item_id }} [1] as asked_id,
    {{ indexed_version() }} as indexed,
    (select avgForEach(embedding) from ({{ vectors_of(item_id, "kind") }})) as mean,
    {# Never empty where there are vectors: a distance to nothing is an error. #}
    if(
        empty(mean), (select any(embedding) from (select embedding from item_embeddings limit 1)), mean
    ) as wanted,
    {{ item("title", "cityHash64(asked_id)") }} as asked_title,
    if(empty(asked_title), asked_id, asked_title) as asked_name,
    {% if category or brand or min_price or max_price %}
        {# Each of those that pass the filters is looked at, since few of the nearest may pass. #}
        near as (
            select item_key as near_key, 1 - dotProduct(embedding, wanted) / L2Norm(wanted) as distance
            from item_embeddings
            where {{ may_show("near_key", exclude, category, min_price, max_price, brand) }}
            order by distance
            limit 1000
        ),
    {% else %}
        {# The index finds the nearest; some of them may not be shown. #}
        near as (
            select item_key as near_key, cosineDistance(embedding, wanted) as distance
            from item_embeddings
            order by distance
            limit 500
        ),
    {% endif %}
    {# Vectors that came since the index was made. #}
    fresh as (
        select item_key as near_key, 1 - dotProduct(embedding, wanted) / L2Norm(wanted) as distance
        from brought_embeddings final
        where kind = 'brought' and version > indexed and length(embedding) = length(wanted)
        order by distance
        limit 1000
    ),
    candidates as (
        select near_key, distance
        from near
        where
            near_key
            not in (select item_key from brought_embeddings where kind = 'brought' and version > indexed)
        union all
        select near_key, distance
        from fresh
    )
select
    {{ item("item_id", "near_key") }} as other_item_id,
    {{ item("title", "near_key") }} as title,
    {{ item("category", "near_key") }} as category,
    round(1 - distance, 6) as score,
    concat(
        'close to ',
        asked_name,
        if(length({{ item_id }}) > 1, concat(' and ', toString(length({{ item_id }}) - 1), ' more'), ''),
        transform(
            kind,
            ['baskets', 'titles'],
            [' in what people buy with it', ' in its words'],
            ' by the vectors of the shop'
        )
    ) as reason
from candidates
where
    notEmpty(mean)
    and distance < 1
    and near_key not in {{ keys_of(item_id) }}
    and {{ may_show("near_key", exclude, category, min_price, max_price, brand) }}
order by score desc, near_key
limit {{ limit }}
