-- Products close to this one, or to several at once. `alsobought learn embeddings` says close in what: in
-- what people buy with them, in words, or in the shop's own vectors; vectors that come with products
-- count at once, learnt or not.
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
{% from 'embeddings.sql' import served, vectors_of %}
with
    {{ served() }} as serving,
    {{ item_id }} [1] as first_asked,
    (select (count(), avgForEach(embedding)) from ({{ vectors_of(item_id, "serving.1") }})) as asked,
    {# Never empty where there are vectors: a distance to nothing is an error. #}
    if(asked .1 = 0, serving .3, asked .2) as wanted,
    length(wanted) as dimensions,
    {% if category or brand or min_price or max_price %}
        {# Each of those that pass the filters is looked at, since few of the nearest may pass. #}
        near as (
            select
                item_key as near_key,
                false as is_new,
                1 - dotProduct(embedding, wanted) / L2Norm(wanted) as distance
            from item_embeddings
            where {{ may_show("near_key", exclude, category, min_price, max_price, brand) }}
            order by distance
            limit 1000
        ),
    {% else %}
        {# The index finds the nearest; some of them may not be shown. #}
        near as (
            select item_key as near_key, false as is_new, cosineDistance(embedding, wanted) as distance
            from item_embeddings
            order by distance
            limit 500
        ),
    {% endif %}
    {# Vectors that came since the index was made, in the place of what it knows. One of another length, or that was taken away,
        is far away. #}
    fresh as (
        select
            item_key as near_key,
            true as is_new,
            if(length(embedding) = dimensions, 0, 2)
            + cosineDistance(arrayResize(embedding, dimensions), wanted) as distance
        from brought_embeddings final
        where serving .1 in ('', 'brought') and version > serving .2
    ),
    candidates as (
        select near_key, distance
        from
            (
                select *
                from near
                union all
                select *
                from fresh
            )
        order by is_new desc, near_key
        limit 1 by near_key
    )
select
    {{ item("item_id", "near_key") }} as other_item_id,
    {{ item("title", "near_key") }} as title,
    {{ item("category", "near_key") }} as category,
    round(1 - distance, 6) as score,
    concat(
        'close to ',
        coalesce(nullIf({{ item("title", "cityHash64(first_asked)") }}, ''), first_asked),
        if(length({{ item_id }}) > 1, concat(' and ', toString(length({{ item_id }}) - 1), ' more'), ''),
        transform(
            serving .1,
            ['baskets', 'titles'],
            [' in what people buy with it', ' in its words'],
            ' by the vectors of the shop'
        )
    ) as reason
from candidates
where
    asked .1 > 0
    and score >= 0.001
    and near_key not in {{ keys_of(item_id) }}
    and {{ may_show("near_key", exclude, category, min_price, max_price, brand) }}
order by score desc, near_key
limit {{ limit }}
