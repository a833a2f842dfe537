-- Products bought in the same basket as this one, best first. Recent and small baskets count more, and
-- so do products that sell well this week.
--
-- :item_id          String                                    the product on the page; repeat it to ask
-- for several at once
-- :limit            UInt16 = 10 (1..100)                      number of rows for each
-- :min_baskets      UInt32 = 1 (1..1000000)                   minimum number of baskets with both
-- products
-- :exclude_history  String = nothing (nothing, bought, seen)  leave out items the user bought or
-- disliked; seen: also those viewed, clicked or carted
-- @use user
-- @use filters
-- @use language
--
-- @key item_id
-- @cache 300s item_id purchase
-- @fallback trending  item_id as other_item_id
-- @deprecated score 2026-11-29  use pipe also_bought_by_score
{% from 'catalogue.sql' import is_other_product, pair_columns, sum_of_group %}
{% from 'companions.sql' import companions_of, since_reference %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen, reranked %}
{% from 'reasons.sql' import bought_together, or_pinned %}
{% from 'demand.sql' import share_of_week %}
{# Smoothing: as if this many more orders held the product, along with what sells this week. #}
{% set prior_orders = 30 %}
with
    ranked as (
        {# The prior orders weigh as much as the baskets of the product do on average. #}
        select
            asked_key,
            shown_key,
            shown_key != other_item_key as stands_in,
            (strength + {{ prior_orders }} * basket_strength * {{ share_of_week("other_item_key") }})
            * {{ since_reference(now) }} as strength_now,
            {{ sum_of_group("companions.times", "other_item_key", by="asked_key") }} as times,
            {{ sum_of_group("strength_now", "other_item_key", by="asked_key") }} as all_strength,
            {{ boosted("shown_key", "all_strength") }} as fit
        from ({{ companions_of(item_id, **filters) }}) as companions
        where
            companions.times >= {{ min_baskets }}
            and {{ is_other_product("other_item_key", "asked_key") }}
            and {{ is_eligible("shown_key", **filters) }}
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
                by="asked_key",
                about_items=true,
                first_of_group="stands_in, strength_now desc, shown_key",
            )
        }}
    )
select
    {{ pair_columns("asked_key", "shown_key", language=language) }},
    times as baskets,
    round(fit, 6) as score,
    {{ or_pinned(bought_together("times")) }} as reason
from arranged
order by item_id, position, fit desc, shown_key
limit 100000
