-- The features by which also_bought_ranked ranks the companions of a product, as they are now, and the
-- score. Numbers are natural logarithms; ranker_weights has what each is worth, and sql/macros/ranker.sql
-- what each is.
--
-- :item_id  String                 the product; repeat it
-- :limit    UInt16 = 10 (1..300)   how many for each
--
-- @key item_id
{% from 'catalogue.sql' import item, keys_of %}
{% from 'ranker.sql' import learnt, learnt_score, pair_features, pair_values %}
with
    {{ learnt("also_bought") }} as weights_learnt,
    scored as (
        select *, exp({{ learnt_score("weights_learnt", pair_values()) }}) as strength
        from ({{ pair_features(keys_of(item_id), now) }})
        order by strength desc, other_item_key
        limit {{ limit }} by item_key
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("item_id", "other_item_key") }} as other_item_id,
    {{ item("title", "other_item_key") }} as title,
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
