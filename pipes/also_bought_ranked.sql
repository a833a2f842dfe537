-- Products bought in the same basket as this one, in the order that `alsobought learn ranker` learnt from
-- what people then bought. Where nothing was learnt, by recent baskets and what sells now.
--
-- :item_id    String                 the product on the page; repeat it to ask for several at once
-- :limit      UInt16 = 10 (1..100)   how many for each
-- :exclude    Array(String)?         leave out these items; repeat it
-- :category   String?                only products of this category, or below it
-- :brand      Array(String)?         only products of these brands
-- :min_price  Float64? (0..1e12)     only products that cost at least this
-- :max_price  Float64? (0..1e12)     only products that cost at most this
--
-- @key item_id
-- @cache 60s item_id
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import item, keys_of %}
{% from 'lists.sql' import boosted, counted, may_show %}
{% from 'ranker.sql' import learnt, learnt_score, pair_features, pair_values %}
with
    {{ learnt("also_bought") }} as weights_learnt,
    scored as (
        select
            item_key,
            other_item_key,
            times,
            exp({{ learnt_score("weights_learnt", pair_values()) }}) as strength
        from ({{ pair_features(keys_of(item_id), now) }})
    ),
    best as (
        select
            item_key, other_item_key, times, {{ boosted("other_item_key", "strength") }} as boosted_strength
        from scored
        where {{ may_show("other_item_key", exclude, category, min_price, max_price, brand) }}
        order by boosted_strength desc, other_item_key
        limit {{ limit }} by item_key
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("item_id", "other_item_key") }} as other_item_id,
    {{ item("title", "other_item_key") }} as title,
    {{ item("category", "other_item_key") }} as category,
    times as baskets,
    round(boosted_strength, 6) as score,
    if(
        times > 0,
        {{ counted("times", "basket", "baskets", before="bought together in ") }},
        'among what sells most'
    ) as reason
from best
order by item_id, boosted_strength desc, other_item_key
limit 100000
