-- Products of another category that go with this one: a case for the phone, not another phone. They
-- share orders with it more often than by chance. The products that fill a short list may be of any
-- category.
--
-- :item_id       String                   the product on the page; repeat it to ask for several at once
-- :limit         UInt16 = 10 (1..100)     number of rows for each
-- :per_category  UInt16 = 2 (1..100)      maximum number of products of one category
-- :support       UInt32 = 3 (1..1000000)  minimum number of orders with both products; excludes pairs
-- that occur by chance
-- @use filters
-- @use language
--
-- @key item_id
-- @cache 60s item_id purchase
-- @fallback also_bought
{% from 'catalogue.sql' import buyable, is_other_product, item, keys_of, pair_columns %}
{% from 'lists.sql' import boosted, is_eligible, one_of_each_group %}
{% from 'reasons.sql' import bought_together_by_lift %}
{% from 'scores.sql' import lift, signed_llr, total %}
{% from 'totals.sql' import all_items_key, is_all_items %}
{# Of the pairs of a product those with most support are scored. #}
{% set max_scored = 1000 %}
with
    pairs as (
        select item_key, other_item_key, sum(baskets) as times
        from co_baskets
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        having times >= {{ support }}
        order by times desc, other_item_key
        limit {{ max_scored }} by item_key
    ),
    elsewhere as (
        {# Filtered before the join: after it ClickHouse would look up every item of the shop. #}
        select
            item_key,
            other_item_key,
            {{ buyable("other_item_key") }} as shown_key,
            times,
            {{ item("category", "item_key") }} as own_category,
            {{ item("category", "other_item_key") }} as other_category
        from pairs
        where
            own_category != ''
            and other_category != ''
            and not startsWith(concat(own_category, '/'), concat(other_category, '/'))
            and not startsWith(concat(other_category, '/'), concat(own_category, '/'))
            and {{ is_other_product("other_item_key", "item_key") }}
            and {{ is_eligible("shown_key", **filters) }}
    ),
    totals as (
        select item_key as total_key, sum(orders) as bought_orders from item_totals group by total_key
    ),
    {# One value: the keys and totals of the products asked about, and of all items together. #}
    (
        select (groupArray(total_key), groupArray(bought_orders))
        from
            (
                select item_key as total_key, sum(orders) as bought_orders
                from item_totals
                where item_key in {{ keys_of(item_id) }} or {{ is_all_items("item_key") }}
                group by total_key
            )
    ) as asked_totals,
    scored as (
        select
            elsewhere.item_key as item_key,
            elsewhere.shown_key as shown_key,
            elsewhere.times as times,
            elsewhere.other_category as other_category,
            {{ total("asked_totals", "elsewhere.item_key") }} as own_orders,
            {{ total("asked_totals", all_items_key()) }} as all_orders,
            {{ lift("times", "own_orders", "totals.bought_orders", "all_orders") }} as pair_lift,
            {{
                boosted(
                    "shown_key",
                    signed_llr("times", "own_orders", "totals.bought_orders", "all_orders"),
                )
            }} as fit
        from elsewhere
        inner join totals on totals.total_key = elsewhere.other_item_key
    ),
    varied as (
        select item_key, shown_key, other_category, times, pair_lift, fit
        from scored
        where fit > 0 {{ one_of_each_group("shown_key", "fit desc, shown_key", by="item_key") }}
        order by fit desc, shown_key
        limit {{ per_category }} by item_key, other_category
    ),
    best as (select * from varied order by fit desc, shown_key limit {{ limit }} by item_key)
select
    {{ pair_columns("item_key", "shown_key", language=language) }},
    times as baskets,
    round(pair_lift, 2) as lift,
    round(fit, 6) as score,
    {{ bought_together_by_lift("times", "pair_lift") }} as reason
from best
order by item_id, fit desc, shown_key
limit 100000
