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
--
-- @key item_id
-- @cache 60s item_id purchase
-- @fallback trending  item_id as other_item_id
-- @deprecated score 2026-11-29  use pipe also_bought_by_score
{% from 'catalogue.sql' import keys_of, pair_columns %}
{% from 'constants.sql' import half_life_days, max_pairs, weight_unit %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen, reranked %}
{% from 'reasons.sql' import bought_together, or_pinned %}
{% from 'signals.sql' import decay %}
{# Smoothing: as if this many more orders held the product, along with what sells this week. #}
{% set prior_orders = 30 %}
{% set sold_days = 7 %}
with
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
        order by decayed desc, other_item_key
        {% if not (exclude or category or brand or min_price or max_price) %}
            limit {{ max_pairs }} by item_key
        {% endif %}
    ),
    sold as (
        {# The row of all items has the most orders. #}
        select item_key as sold_key, sum(orders) as sold_orders, max(sold_orders) over () as all_orders
        from daily_popularity
        where
            day > toDate({{ now }}) - {{ sold_days }} and day <= toDate({{ now }}) and event_type = 'purchase'
        group by sold_key
    ),
    scored as (
        {# The prior orders weigh as much as the baskets of the product do on average. #}
        select
            pairs.item_key as item_key,
            pairs.other_item_key as other_item_key,
            pairs.times as times,
            pairs.decayed
            + {{ prior_orders }}
            * sum(pairs.decayed) over (partition by pairs.item_key)
            / sum(pairs.times) over (partition by pairs.item_key)
            * sold.sold_orders
            / greatest(1, sold.all_orders) as strength
        from pairs
        left join sold on sold.sold_key = pairs.other_item_key
    ),
    ranked as (
        select item_key, other_item_key, times, {{ boosted("other_item_key", "strength") }} as fit
        from scored
        where
            {{ is_eligible("other_item_key", exclude, category, brand, min_price, max_price) }}
            {% if user_id %} and {{ is_unseen("other_item_key", user_id, exclude_history) }} {% endif %}
    ),
    arranged as (
        {{
            reranked(
                "ranked",
                "other_item_key",
                "fit",
                "fit desc, other_item_key",
                limit,
                may_pin=is_eligible("pinned_key", exclude, category, brand, min_price, max_price),
                by="item_key",
            )
        }}
    ),
    best as (
        select item_key, other_item_key, times, fit, position, pinned
        from arranged
        order by position, fit desc, other_item_key
        limit {{ limit }} by item_key
    )
select
    {{ pair_columns("item_key", "other_item_key") }},
    times as baskets,
    round(fit, 6) as score,
    {{ or_pinned(bought_together("times")) }} as reason
from best
order by item_id, position, fit desc, other_item_key
limit 100000
