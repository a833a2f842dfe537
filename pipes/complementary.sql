-- What goes with this product and is something else: bought in the same orders oftener than by chance, and
-- of another category: a case for the phone, not another phone. What fills a list that is too short may be
-- of any.
--
-- :item_id       String                   the product on the page; repeat it to ask for several at once
-- :limit         UInt16 = 10 (1..100)     how many for each
-- :per_category  UInt16 = 2 (1..100)      at most so many of one category
-- :support       UInt32 = 3 (1..1000000)  how many orders must hold both: a chance pair of rare products is
-- no sign
-- :exclude       Array(String)?           leave out these products; repeat it
-- :category      String?                  only products of this category, or below it
-- :brand         Array(String)?           only products of these brands
-- :min_price     Float64? (0..1e12)       none that costs less
-- :max_price     Float64? (0..1e12)       none that costs more
--
-- @key item_id
-- @cache 60s item_id
-- @fallback also_bought
{% from 'catalogue.sql' import item, keys_of %}
{% from 'lists.sql' import boosted, counted, may_show %}
{% from 'scores.sql' import lift, signed_llr, total %}
with
    pairs as (
        select item_key, other_item_key, sum(baskets) as times
        from co_baskets
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        having times >= {{ support }}
        order by times desc, other_item_key
        {# With less support than a thousand others it is not among the best. #}
        limit 1000 by item_key
    ),
    elsewhere as (
        {# Before the join: after it the engine would ask the same of every item there is. #}
        select
            item_key,
            other_item_key,
            times,
            {{ item("category", "item_key") }} as own_category,
            {{ item("category", "other_item_key") }} as other_category
        from pairs
        where
            own_category != ''
            and other_category != ''
            and not startsWith(concat(own_category, '/'), concat(other_category, '/'))
            and not startsWith(concat(other_category, '/'), concat(own_category, '/'))
            and {{ may_show("other_item_key", exclude, category, min_price, max_price, brand) }}
    ),
    totals as (
        select item_key as total_key, sum(orders) as bought_orders from item_totals group by total_key
    ),
    {# The totals of what is asked, and of all items: item_key 0. #}
    (
        select (groupArray(total_key), groupArray(bought_orders))
        from
            (
                select item_key as total_key, sum(orders) as bought_orders
                from item_totals
                where item_key in {{ keys_of(item_id) }} or item_key = 0
                group by total_key
            )
    ) as asked_totals,
    scored as (
        select
            elsewhere.item_key as item_key,
            elsewhere.other_item_key as other_item_key,
            elsewhere.times as times,
            elsewhere.other_category as other_category,
            {{ total("asked_totals", "elsewhere.item_key") }} as own_orders,
            {{ total("asked_totals", "toUInt64(0)") }} as all_orders,
            {{ lift("times", "own_orders", "totals.bought_orders", "all_orders") }} as times_chance,
            {{
                boosted(
                    "other_item_key",
                    signed_llr("times", "own_orders", "totals.bought_orders", "all_orders"),
                )
            }} as strength
        from elsewhere
        inner join totals on totals.total_key = elsewhere.other_item_key
    ),
    various as (
        select item_key, other_item_key, times, times_chance, strength
        from scored
        where strength > 0
        order by strength desc, other_item_key
        limit {{ per_category }} by item_key, other_category
    ),
    best as (
        select item_key, other_item_key, times, times_chance, strength
        from various
        order by strength desc, other_item_key
        limit {{ limit }} by item_key
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("item_id", "other_item_key") }} as other_item_id,
    {{ item("title", "other_item_key") }} as title,
    {{ item("category", "other_item_key") }} as category,
    times as baskets,
    round(times_chance, 2) as lift,
    round(strength, 6) as score,
    concat(
        'bought together in ',
        {{ counted("times", "basket", "baskets") }},
        ', ',
        toString(round(times_chance, 1)),
        ' times as often as by chance'
    ) as reason
from best
order by item_id, strength desc, other_item_key
limit 100000
