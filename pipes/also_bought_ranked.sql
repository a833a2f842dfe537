-- Products bought in the same basket as this one, ranked by the model of `alsobought learn ranker`.
-- Without a model they are ranked by recent baskets and current sales.
--
-- :item_id  String                the product on the page; repeat it to ask for several at once
-- :limit    UInt16 = 10 (1..100)  number of rows for each
-- @use filters
-- @use language
-- @use reranking
--
-- @key item_id
-- @cache 60s item_id
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import buyable, is_other_product, keys_of, pair_columns %}
{% from 'lists.sql' import boosted, is_eligible, reranked %}
{% from 'ranker.sql' import learned_score, learned_weights, pair_features, pair_values %}
{% from 'reasons.sql' import bought_together_or_sells, or_pinned %}
with
    {{ learned_weights("also_bought") }} as weights,
    scored as (
        select item_key, other_item_key, times, exp({{ learned_score("weights", pair_values()) }}) as strength
        from ({{ pair_features(keys_of(item_id), now) }})
    ),
    ranked as (
        select
            item_key,
            {{ buyable("other_item_key") }} as shown_key,
            shown_key != other_item_key as stands_in,
            times,
            {{ boosted("shown_key", "strength") }} as fit
        from scored
        where
            {{ is_eligible("shown_key", **filters) }} and {{ is_other_product("other_item_key", "item_key") }}
    ),
    arranged as (
        {{
            reranked(
                "ranked",
                "shown_key",
                "fit",
                "fit desc, shown_key",
                limit,
                may_pin=is_eligible("pinned_key", **filters),
                by="item_key",
                about_items=true,
                first_of_group="stands_in, fit desc, shown_key",
                **reranking
            )
        }}
    )
select
    {{ pair_columns("item_key", "shown_key", language=language) }},
    times as baskets,
    round(fit, 6) as score,
    {{ or_pinned(bought_together_or_sells("times")) }} as reason,
    propensity
from arranged
order by item_id, position, fit desc, shown_key
limit 100000
