-- Products bought with this one, scored by Swing: any two orders with both products vote for them, and the
-- vote weighs more the less else the two orders share, and the smaller they are. One big shared habit does
-- not make a pair.
--
-- :item_id    String                   the product on the page; repeat it to ask for several at once
-- :limit      UInt16 = 10 (1..100)     how many for each
-- :orders     UInt16 = 100 (2..500)    of how many orders with the product, the latest ones; time grows
-- with the square
-- :max_items  UInt16 = 100 (2..1000)   orders of more products than this are left out
-- :exclude    Array(String)?           leave out these products; repeat it
-- :category   String?                  only products of this category, or below it
-- :brand      Array(String)?           only products of these brands
-- :min_price  Float64? (0..1e12)       none that costs less
-- :max_price  Float64? (0..1e12)       none that costs more
--
-- @key item_id
-- @cache 60s item_id
-- @fallback also_bought
{#- Yang et al. 2020, arXiv 2010.05525: for all pairs of groups u, v with both items, the sum of
    1/(|u|+15)^0.3 * 1/(|v|+15)^0.3 * 1/|u and v|. Groups are orders here, as baskets did best. -#}
{% from 'catalogue.sql' import item, keys_of %}
{% from 'lists.sql' import boosted, may_show %}
with
    latest as (
        select
            item_users.item_key as asked_key,
            cityHash64(user_id, order_id) as asked_order,
            max(last_time) as bought_at
        from item_users
        where item_key in {{ keys_of(item_id) }} and event_type = 'purchase' and order_id != ''
        group by asked_key, asked_order
        order by bought_at desc, asked_order
        limit {{ orders }} by asked_key
    ),
    contents as (
        select order_key, arraySort(groupUniqArray(order_items.item_key)) as members
        from order_items
        where order_key in (select asked_order from latest)
        group by order_key
        having length(members) between 2 and {{ max_items }}
    ),
    gathered as (
        select asked_key, arraySort(groupArray((order_key, members))) as baskets
        from latest
        inner join contents on contents.order_key = latest.asked_order
        group by asked_key
    ),
    beside as (
        select asked_key, tupleElement(basket, 2) as one, arraySlice(baskets, nth + 1) as further
        from gathered
        array join baskets as basket, arrayEnumerate(baskets) as nth
    ),
    meetings as (
        select
            asked_key,
            arrayIntersect(one, other) as shared,
            pow(length(one) + 15, -0.3) * pow(length(other) + 15, -0.3) / length(shared) as vote
        from (select asked_key, one, tupleElement(arrayJoin(further), 2) as other from beside)
    ),
    scored as (
        select
            asked_key, arrayJoin(shared) as other_item_key, count() as meetings_of_both, sum(vote) as strength
        from meetings
        group by asked_key, other_item_key
    ),
    best as (
        select asked_key, other_item_key, meetings_of_both, {{ boosted("other_item_key", "strength") }} as fit
        from scored
        where
            other_item_key != asked_key
            and {{ may_show("other_item_key", exclude, category, min_price, max_price, brand) }}
        order by fit desc, other_item_key
        limit {{ limit }} by asked_key
    )
select
    {{ item("item_id", "asked_key") }} as item_id,
    {{ item("item_id", "other_item_key") }} as other_item_id,
    {{ item("title", "other_item_key") }} as title,
    {{ item("category", "other_item_key") }} as category,
    {# n orders make n (n - 1) / 2 pairs. #}
    toUInt64(round((1 + sqrt(1 + 8 * meetings_of_both)) / 2)) as baskets,
    round(fit, 8) as score,
    concat('bought together in ', toString(baskets), ' of the latest baskets') as reason
from best
order by item_id, fit desc, other_item_key
limit 100000
