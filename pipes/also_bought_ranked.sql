-- Products bought in the same basket as this one, ranked by the model of `alsobought learn ranker`.
-- Without a model they are ranked by recent baskets and current sales.
--
-- :item_id  String                the product on the page; repeat it to ask for several at once
-- :limit    UInt16 = 10 (1..100)  number of rows for each
-- @use filters
--
-- @key item_id
-- @cache 60s item_id
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import keys_of, pair_columns %}
{% from 'lists.sql' import boosted, is_eligible %}
{% from 'ranker.sql' import learned_score, learned_weights, pair_features, pair_values %}
{% from 'reasons.sql' import bought_together_or_sells %}
with
    {{ learned_weights("also_bought") }} as weights,
    scored as (
        select item_key, other_item_key, times, exp({{ learned_score("weights", pair_values()) }}) as strength
        from ({{ pair_features(keys_of(item_id), now) }})
    ),
    best as (
        select item_key, other_item_key, times, {{ boosted("other_item_key", "strength") }} as fit
        from scored
        where {{ is_eligible("other_item_key", exclude, category, brand, min_price, max_price) }}
        order by fit desc, other_item_key
        limit {{ limit }} by item_key
    )
select
    {{ pair_columns("item_key", "other_item_key") }},
    times as baskets,
    round(fit, 6) as score,
    {{ bought_together_or_sells("times") }} as reason
from best
order by item_id, fit desc, other_item_key
limit 100000
