-- Products bought with this one, scored by Swing. Every two orders with both products vote for the pair.
-- The vote weighs more if the two orders are small and share few other products, so that large, similar
-- orders alone do not make a pair.
--
-- :item_id    String                  the product on the page; repeat it to ask for several at once
-- :limit      UInt16 = 10 (1..100)    number of rows for each
-- :orders     UInt16 = 100 (2..500)   number of orders that vote, the latest ones; the query time grows
-- with its square
-- :max_items  UInt16 = 100 (2..1000)  leave out orders with more products than this
-- @use filters
-- @use language
--
-- @key item_id
-- @cache 60s item_id
-- @fallback also_bought
{#- Yang et al. 2020, arXiv 2010.05525: over all pairs of groups u, v with both items, the sum of
    1/(|u|+15)^0.3 * 1/(|v|+15)^0.3 * 1/|u and v|. Groups are orders here, which did best. -#}
{% from 'catalogue.sql' import group_of, keys_of, pair_columns %}
{% from 'lists.sql' import boosted, is_eligible, one_of_each_group %}
{% from 'reasons.sql' import in_latest_baskets %}
{# The paper's smoothing and exponent of the size of an order. #}
{% set size_smoothing = 15 %}
{% set size_exponent = "-0.3" %}
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
    baskets_of as (
        select asked_key, arraySort(groupArray((order_key, members))) as baskets
        from latest
        inner join contents on contents.order_key = latest.asked_order
        group by asked_key
    ),
    paired as (
        select asked_key, tupleElement(basket, 2) as one, arraySlice(baskets, nth + 1) as further
        from baskets_of
        array join baskets as basket, arrayEnumerate(baskets) as nth
    ),
    votes as (
        select
            asked_key,
            arrayIntersect(one, other) as shared,
            pow(length(one) + {{ size_smoothing }}, {{ size_exponent }})
            * pow(length(other) + {{ size_smoothing }}, {{ size_exponent }})
            / length(shared) as vote
        from (select asked_key, one, tupleElement(arrayJoin(further), 2) as other from paired)
    ),
    scored as (
        select asked_key, arrayJoin(shared) as other_item_key, count() as order_pairs, sum(vote) as strength
        from votes
        group by asked_key, other_item_key
    ),
    best as (
        select asked_key, other_item_key, order_pairs, {{ boosted("other_item_key", "strength") }} as fit
        from scored
        where
            {{ group_of("other_item_key") }} != {{ group_of("asked_key") }}
            and {{ is_eligible("other_item_key", **filters) }}
            {{ one_of_each_group("other_item_key", "fit desc, other_item_key", by="asked_key") }}
        order by fit desc, other_item_key
        limit {{ limit }} by asked_key
    )
select
    {{ pair_columns("asked_key", "other_item_key", language=language) }},
    {# n orders make n (n - 1) / 2 pairs. #}
    toUInt64(round((1 + sqrt(1 + 8 * order_pairs)) / 2)) as baskets,
    round(fit, 8) as score,
    {{ in_latest_baskets("baskets") }} as reason
from best
order by item_id, fit desc, other_item_key
limit 100000
