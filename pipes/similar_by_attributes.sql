-- Products like this one by what the catalogue says of them: categories, brand and words of the title that
-- they share, a rare one
-- saying more. Needs no events, so that a product has an answer from the moment it is there.
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
-- @fallback trending  item_id as other_item_id
{% from 'attributes.sql' import traits %}
{% from 'catalogue.sql' import item, keys_of %}
{% from 'lists.sql' import may_show %}
with
    (
        select arrayDistinct(arrayFlatten(groupArray({{ traits("title", "category", "brand") }})))
        from items final
        where item_id in {{ item_id }}
    ) as wanted,
    (select count() from items) as total,
    shared as (
        select
            cityHash64(item_id) as like_key,
            arrayIntersect({{ traits("title", "category", "brand") }}, wanted) as common
        from items final
        where item_id not in {{ item_id }} and notEmpty(common)
    ),
    {# The weight of a trait is its inverse document frequency. #}
    weights as (
        select groupArray(trait) as known, groupArray(weight) as weighing
        from (select arrayJoin(common) as trait, ln(1 + total / count()) as weight from shared group by trait)
    ),
    best as (
        select
            like_key,
            common,
            arraySum(
                trait -> transform(trait, (select known from weights), (select weighing from weights), 0.),
                common
            ) as strength
        from shared
        where {{ may_show("like_key", exclude, category, min_price, max_price, brand) }}
        order by strength desc, like_key
        limit {{ limit }}
    )
select
    {{ item("item_id", "like_key") }} as other_item_id,
    {{ item("title", "like_key") }} as title,
    {{ item("category", "like_key") }} as category,
    round(strength, 6) as score,
    arrayStringConcat(common, ', ') as reason
from best
order by strength desc, like_key
limit {{ limit }}
