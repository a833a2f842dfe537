-- Products that share categories, brand and title words with this one. Rare words, brands and categories
-- count more. A product has an answer as soon as it is in the catalogue, without any events.
--
-- :item_id  Array(String)         the product on the page, or several taken together; repeat it
-- :limit    UInt16 = 10 (1..100)  number of products
-- @use filters
-- @use language
--
-- @cache 60s item_id
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import group_of, groups_of, item_columns %}
{% from 'lists.sql' import is_eligible, one_of_each_group %}
{% from 'reasons.sql' import same_attributes %}
with
    (
        select (groupUniqArray(category), groupUniqArray(brand), arrayStringConcat(groupArray(title), ' '))
        from items final
        where item_id in {{ item_id }}
    ) as asked,
    {# The categories asked about and all above them: Kitchen/Tea is in Kitchen, too. #}
    arrayDistinct(
        arrayFlatten(
            arrayMap(
                path -> arrayMap(
                    depth
                    -> concat(arrayStringConcat(arraySlice(splitByChar('/', path), 1, depth), '/'), '/'),
                    arrayEnumerate(splitByChar('/', path))
                ),
                arrayFilter(path -> path != '', asked .1)
            )
        )
    ) as wanted_levels,
    arrayFilter(name -> name != '', asked .2) as wanted_brands,
    arrayDistinct(tokens(lowerUTF8(asked .3))) as wanted_words,
    (select count() from items) as total,
    alike as (
        select
            cityHash64(item_id) as alike_key,
            arrayIntersect(tokens(lowerUTF8(title)), wanted_words) as shared_words,
            has(wanted_brands, brand) as of_brand,
            arrayFilter(level -> startsWith(concat(category, '/'), level), wanted_levels) as levels,
            arrayConcat(
                arrayMap(word -> concat('word ', word), shared_words),
                levels,
                if(of_brand, [concat('brand ', brand)], [])
            ) as common
        from items final
        where item_id not in {{ item_id }} and notEmpty(common)
    ),
    {# The weight of a word, brand or category: its inverse document frequency. #}
    (
        select (groupArray(attribute), groupArray(weight))
        from
            (
                select arrayJoin(common) as attribute, ln(1 + total / count()) as weight
                from alike
                group by attribute
            )
    ) as weights,
    best as (
        select
            alike_key,
            shared_words,
            of_brand,
            levels,
            arraySum(attribute -> transform(attribute, weights .1, weights .2, 0.), common) as strength
        from alike
        where
            {{ is_eligible("alike_key", **filters) }}
            {% if has_variants %} and {{ group_of("alike_key") }} not in {{ groups_of(item_id) }} {% endif %}
            {{ one_of_each_group("alike_key", "strength desc, alike_key") }}
        order by strength desc, alike_key
        limit {{ limit }}
    )
select
    {{ item_columns("alike_key", id="other_item_id", language=language) }},
    round(strength, 6) as score,
    {{ same_attributes("of_brand", "has(asked.1, category)", "notEmpty(levels)", "shared_words") }} as reason
from best
order by strength desc, alike_key
limit {{ limit }}
