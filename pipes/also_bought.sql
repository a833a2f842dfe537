-- Products bought in the same basket as this one, best first: recent baskets count more, large baskets
-- less.
--
-- :item_id      String                   the product on the page; repeat it to ask for several at once
-- :limit        UInt16 = 10 (1..100)     how many for each
-- :score        String? (decayed, count, cosine, jaccard, conditional, lift, llr)  another order than
-- usual. decayed: baskets with both, large ones less, half as much after 180 days; count: these baskets;
-- cosine, jaccard: for how many hold either; conditional: for how many hold this one; lift, llr: how much
-- oftener than by chance. Usual is decayed, and what orders of the last 7 days hold, as if 30 of them were
-- with this one
-- :min_baskets  UInt32 = 1 (1..1000000)  how many baskets must hold both; lift and llr need some, such as 5
-- :user_id      String?                  for this person: without what they offer, and what leave_out says
-- :leave_out    String = nothing (nothing, bought, seen)  what the person has: bought or disliked; seen:
-- also viewed, clicked, carted
-- :exclude      Array(String)?           leave out these items; repeat it
-- :category     String?                  only products of this category, or below it
-- :brand        Array(String)?           only products of these brands
-- :min_price    Float64? (0..1e12)       only products that cost at least this
-- :max_price    Float64? (0..1e12)       only products that cost at most this
--
-- @key item_id
-- @cache 60s item_id
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import item, keys_of %}
{% from 'lists.sql' import because, boosted, counted, in_places, may_show, new_to %}
{% from 'scores.sql' import pair_score %}
{% from 'signals.sql' import decay %}
with
    pairs as (
        select
            item_key,
            other_item_key,
            sum(baskets) as times,
            sum(weight * {{ decay("month", now, 180) }}) / 1e6 as decayed
        from co_baskets
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        having times >= {{ min_baskets }}
        order by decayed desc, other_item_key
        {# Most of them never show: the strongest suffice where nothing else is asked for. #}
        {% if not (score or exclude or category or brand or min_price or max_price) %}
            limit 300 by item_key
        {% endif %}
    ),
    {% if score %}
        assumeNotNull((select sum(orders) from item_totals where item_key = 0)) as all_orders,
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
    {% else %}
        sold as (
            {# item_key 0 stands for all orders, so it has most of them. #}
            select item_key as sold_key, sum(orders) as sold_orders, max(sold_orders) over () as all_orders
            from daily_popularity
            where day > toDate({{ now }}) - 7 and day <= toDate({{ now }}) and event_type = 'purchase'
            group by sold_key
        ),
        scored as (
            {# As if 30 more orders had held this one, as heavy as those with both are and with what others hold now. #}
            select
                pairs.item_key as item_key,
                pairs.other_item_key as other_item_key,
                pairs.times as times,
                pairs.decayed
                + 30
                * sum(pairs.decayed) over (partition by pairs.item_key)
                / sum(pairs.times) over (partition by pairs.item_key)
                * sold.sold_orders
                / greatest(1, sold.all_orders) as strength
            from pairs
            left join sold on sold.sold_key = pairs.other_item_key
        ),
    {% endif %}
    ranked as (
        select item_key, other_item_key, times, {{ boosted("other_item_key", "strength") }} as fit
        from scored
        where
            {{ may_show("other_item_key", exclude, category, min_price, max_price, brand) }}
            {% if user_id %} and {{ new_to("other_item_key", user_id, leave_out) }} {% endif %}
    ),
    placed as (
        {{
            in_places(
                "ranked",
                "other_item_key",
                "fit",
                "fit desc, other_item_key",
                limit,
                may_pin=may_show("pinned_key", exclude, category, min_price, max_price, brand),
                by="item_key",
            )
        }}
    ),
    best as (
        select item_key, other_item_key, times, fit, place, pinned
        from placed
        order by place, fit desc, other_item_key
        limit {{ limit }} by item_key
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("item_id", "other_item_key") }} as other_item_id,
    {{ item("title", "other_item_key") }} as title,
    {{ item("category", "other_item_key") }} as category,
    times as baskets,
    round(fit, 6) as score,
    {{ because(counted("times", "basket", "baskets", before="bought together in ")) }} as reason
from best
order by item_id, place, fit desc, other_item_key
limit 100000
