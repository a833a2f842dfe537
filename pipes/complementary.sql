-- What goes with this product and is something else: bought in the same orders oftener than by chance, and
-- of another
-- category. A case for the phone, not another phone.
--
-- :item_id       String                the product on the page; repeat it to ask for several at once
-- :limit         UInt16 = 10 (1..100)  how many for each
-- :per_category  UInt16 = 2 (1..100)   at most so many of one category
-- :min_baskets   UInt32 = 3 (1..1000000)  how many orders must hold both: a chance pair of rare products is
-- no sign
-- :exclude       Array(String)?        leave out these products; repeat it
-- :category      String?               only products of this category, or below it
-- :brand         Array(String)?         only products of these brands
-- :min_price     Float64? (0..1e12)     none that costs less
-- :max_price     Float64? (0..1e12)     none that costs more
--
-- @key item_id
-- @cache 60s item_id
-- @fallback also_bought
{% from 'catalogue.sql' import in_category, item, keys_of %}
{% from 'lists.sql' import counted, may_show %}
{% from 'scores.sql' import lift, signed_llr %}
with
    pairs as (
        select item_key, other_item_key, sum(baskets) as times
        from co_baskets
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        having times >= {{ min_baskets }}
    ),
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
            {{ lift("pairs.times", "own.bought_orders", "other.bought_orders", "all_orders") }}
            as times_chance,
            {{ signed_llr("pairs.times", "own.bought_orders", "other.bought_orders", "all_orders") }}
            as strength,
            {{ item("category", "pairs.item_key") }} as own_category,
            {{ item("category", "pairs.other_item_key") }} as other_category
        from pairs
        inner join totals as own on own.total_key = pairs.item_key
        inner join totals as other on other.total_key = pairs.other_item_key
    ),
    elsewhere as (
        select item_key, other_item_key, times, times_chance, strength, other_category
        from scored
        where
            strength > 0
            and own_category != ''
            and other_category != ''
            and not {{ in_category("item_key", "other_category") }}
            and not {{ in_category("other_item_key", "own_category") }}
            and {{ may_show("other_item_key", exclude, category, min_price, max_price, brand) }}
        order by strength desc, other_item_key
        limit {{ per_category }} by item_key, other_category
    ),
    best as (
        select item_key, other_item_key, times, times_chance, strength
        from elsewhere
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
