-- Products with vectors close to those of this one, or of several at once. `alsobought learn embeddings`
-- makes the vectors from baskets or titles, or indexes the shop's own. The shop's own vectors are
-- searched as soon as they arrive.
--
-- :item_id  Array(String)         the product on the page, or several taken together; repeat it
-- :limit    UInt16 = 10 (1..100)  number of products
-- @use filters
-- @use language
--
-- @cache 60s item_id
-- @fallback similar_by_attributes
{% from 'catalogue.sql' import group_of, groups_of, item_columns %}
{% from 'embeddings.sql' import embedding_model, vectors_of %}
{% from 'lists.sql' import is_eligible, one_of_each_group %}
{% from 'reasons.sql' import close_to %}
{% set nearest = 500 %}
{% set nearest_filtered = 1000 %}
{# Products with a lower cosine are not similar. #}
{% set min_cosine = 0.001 %}
with
    {{ embedding_model() }} as serving,
    {{ item_id }} [1] as first_asked,
    (select (count(), avgForEach(embedding)) from ({{ vectors_of(item_id, "serving.1") }})) as asked,
    {# Some vector in any case: the distance to an empty one is an error. #}
    if(asked .1 = 0, serving .3, asked .2) as wanted,
    length(wanted) as dimensions,
    length({{ item_id }}) as asked_items,
    {% if category or brand or tags or min_price or max_price %}
        {# Every product that passes the filters, since few of the nearest may pass. #}
        near as (
            select
                item_key as near_key,
                false as is_new,
                1 - dotProduct(embedding, wanted) / L2Norm(wanted) as distance
            from item_embeddings
            where {{ is_eligible("near_key", **filters) }}
            order by distance
            limit {{ nearest_filtered }}
        ),
    {% else %}
        {# The nearest by the index; some of them may not be eligible. #}
        near as (
            select item_key as near_key, false as is_new, cosineDistance(embedding, wanted) as distance
            from item_embeddings
            order by distance
            limit {{ nearest }}
        ),
    {% endif %}
    {# Vectors newer than the index replace those in it. A vector of another length, or a removed one, is far away. #}
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
    {{ item_columns("near_key", id="other_item_id", language=language) }},
    round(1 - distance, 6) as score,
    {{ close_to("first_asked", "asked_items", "serving.1") }} as reason
from candidates
where
    asked .1 > 0
    and score >= {{ min_cosine }}
    and {{ group_of("near_key") }} not in {{ groups_of(item_id) }}
    and {{ is_eligible("near_key", **filters) }}
    {{ one_of_each_group("near_key", "score desc, near_key") }}
order by score desc, near_key
limit {{ limit }}
