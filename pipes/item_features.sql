-- The current features and score of each companion of a product, as also_bought_ranked uses them. Values
-- are natural logarithms; sql/macros/ranker.sql defines them, and ranker_weights has the weight of each.
--
-- :item_id  String                the product; repeat it
-- :limit    UInt16 = 10 (1..300)  number of rows for each
-- @use language
--
-- @key item_id
{% from 'catalogue.sql' import item, keys_of, title_in %}
{% from 'ranker.sql' import learned_score, learned_weights, pair_features, pair_values %}
with
    {{ learned_weights("also_bought") }} as weights,
    scored as (
        select *, exp({{ learned_score("weights", pair_values()) }}) as strength
        from ({{ pair_features(keys_of(item_id), now) }})
        order by strength desc, other_item_key
        limit {{ limit }} by item_key
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("item_id", "other_item_key") }} as other_item_id,
    {{ title_in(language, "other_item_key") }} as title,
    strength as score,
    together,
    popular,
    baskets,
    lift,
    category_lift,
    share_of_category,
    small_baskets,
    recent,
    rising,
    price,
    price_ratio,
    same_category
from scored
order by item_id, score desc, other_item_key
limit 100000
