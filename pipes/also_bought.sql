-- Products bought in the same basket as this one, best first: recent baskets count more, large baskets less.
--
-- :item_id    String                 the product on the page; repeat it to ask for several at once
-- :limit      UInt16 = 10 (1..100)   how many for each
-- :exclude    Array(String)?         leave out these items; repeat it
-- :category   String?                only products of this category, or below it
-- :brand      Array(String)?         only products of these brands
-- :min_price  Float64? (0..1e12)     only products that cost at least this
-- :max_price  Float64? (0..1e12)     only products that cost at most this
--
-- @key item_id
-- @cache 60s item_id
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import item, keys_of %}
{% from 'lists.sql' import may_show %}
{% from 'signals.sql' import decay %}
with
    scored as (
        select
            item_key,
            other_item_key,
            sum(baskets) as times,
            sum(weight * {{ decay("month", now, 180) }}) / 1e6 as strength
        from co_baskets
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        having times > 0
        order by strength desc, other_item_key
        {# Most of them never show: the strongest suffice where nothing else is asked for. #}
        {% if not (exclude or category or brand or min_price or max_price) %}
            limit 300 by item_key
        {% endif %}
    ),
    best as (
        select item_key, other_item_key, times, strength
        from scored
        where {{ may_show("other_item_key", exclude, category, min_price, max_price, brand) }}
        order by strength desc, other_item_key
        limit {{ limit }} by item_key
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("item_id", "other_item_key") }} as other_item_id,
    {{ item("title", "other_item_key") }} as title,
    {{ item("category", "other_item_key") }} as category,
    times as baskets,
    round(strength, 6) as score
from best
order by item_id, strength desc, other_item_key
limit 100000
