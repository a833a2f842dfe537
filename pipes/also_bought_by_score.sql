-- Products bought in the same basket as this one, ordered by a score of your choice.
--
-- :item_id          String                                    the product on the page; repeat it to ask
-- for several at once
-- :limit            UInt16 = 10 (1..100)                      number of rows for each
-- :score            String = decayed (decayed, count, cosine, jaccard, conditional, lift, llr)  decayed:
-- baskets with both products, recent and small ones weigh more; count: their number; cosine, jaccard:
-- their number relative to the baskets of either product; conditional: their share of this product's
-- baskets; lift, llr: their number compared with chance
-- :min_baskets      UInt32 = 1 (1..1000000)                   minimum number of baskets with both
-- products; use 5 or more for lift and llr
-- :exclude_history  String = nothing (nothing, bought, seen)  leave out items the user bought or
-- disliked; seen: also those viewed, clicked or carted
-- @use user
-- @use filters
-- @use language
--
-- @key item_id
-- @cache 60s item_id purchase
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import buyable, is_other_product, keys_of, pair_columns %}
{% from 'constants.sql' import half_life_days, weight_unit %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen, reranked %}
{% from 'reasons.sql' import bought_together, or_pinned %}
{% from 'scores.sql' import pair_score %}
{% from 'signals.sql' import decay %}
{% from 'totals.sql' import total_orders %}
with
    {{ total_orders() }} as all_orders,
    pairs as (
        select
            item_key,
            other_item_key,
            sum(baskets) as times,
            sum(weight * {{ decay("month", now, half_life_days) }}) / {{ weight_unit }} as decayed
        from co_baskets
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        having times >= {{ min_baskets }}
    ),
    totals as (
        select item_key as total_key, sum(orders) as bought_orders
        from item_totals
        group by total_key
        having bought_orders > 0
    ),
    scored as (
        select
            pairs.item_key as item_key,
            pairs.other_item_key as other_item_key,
            pairs.times as times,
            {{
                pair_score(
                    score,
                    "pairs.decayed",
                    "pairs.times",
                    "own.bought_orders",
                    "other.bought_orders",
                    "all_orders",
                )
            }} as strength
        from pairs
        inner join totals as own on own.total_key = pairs.item_key
        inner join totals as other on other.total_key = pairs.other_item_key
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
            {% if user_id %} and {{ is_unseen("shown_key", user_id, exclude_history) }} {% endif %}
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
            )
        }}
    )
select
    {{ pair_columns("item_key", "shown_key", language=language) }},
    times as baskets,
    round(fit, 6) as score,
    {{ or_pinned(bought_together("times")) }} as reason
from arranged
order by item_id, position, fit desc, shown_key
limit 100000
