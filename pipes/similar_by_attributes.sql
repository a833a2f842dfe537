-- Products like this one by what the catalogue says of them: categories, brand and words of the title
-- that they share, a rare one saying more. Needs no events, so that a product has an answer from the
-- moment it is there.
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
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import may_show %}
with
    (
        select (groupUniqArray(category), groupUniqArray(brand), arrayStringConcat(groupArray(title), ' '))
        from items final
        where item_id in {{ item_id }}
    ) as asked,
    {# Kitchen/Tea is in Kitchen, too. #}
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
    like_it as (
        select
            cityHash64(item_id) as like_key,
            arrayIntersect(tokens(lowerUTF8(title)), wanted_words) as words,
            has(wanted_brands, brand) as of_brand,
            arrayFilter(level -> startsWith(concat(category, '/'), level), wanted_levels) as levels,
            arrayConcat(
                arrayMap(word -> concat('word ', word), words),
                levels,
                if(of_brand, [concat('brand ', brand)], [])
            ) as common
        from items final
        where item_id not in {{ item_id }} and notEmpty(common)
    ),
    {# How much each says: its inverse document frequency. #}
    (
        select (groupArray(one), groupArray(weight))
        from (select arrayJoin(common) as one, ln(1 + total / count()) as weight from like_it group by one)
    ) as weights,
    best as (
        select
            like_key,
            words,
            of_brand,
            levels,
            arraySum(one -> transform(one, weights .1, weights .2, 0.), common) as strength
        from like_it
        where {{ may_show("like_key", exclude, category, min_price, max_price, brand) }}
        order by strength desc, like_key
        limit {{ limit }}
    )
select
    {{ item("item_id", "like_key") }} as other_item_id,
    {{ item("title", "like_key") }} as title,
    {{ item("category", "like_key") }} as category,
    round(strength, 6) as score,
    arrayStringConcat(
        arrayFilter(
            part -> part != '',
            [
                multiIf(
                    of_brand and has(asked .1, category),
                    'the same brand and category',
                    of_brand and notEmpty(levels),
                    'the same brand, a category near to it',
                    of_brand,
                    'the same brand',
                    notEmpty(levels) and has(asked .1, category),
                    'the same category',
                    notEmpty(levels),
                    'a category near to it',
                    ''
                ),
                if(
                    empty(words),
                    '',
                    concat('also ', arrayStringConcat(arraySlice(arraySort(words), 1, 3), ' and '))
                )
            ]
        ),
        '; '
    ) as reason
from best
order by strength desc, like_key
limit {{ limit }}
