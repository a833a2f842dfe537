-- Products that complete a basket: bought together with its products. Those that go with the most of
-- them come first.
--
-- :item_id      Array(String)            the products in the basket; repeat it
-- :limit        UInt16 = 4 (1..100)      number of products
-- :min_baskets  UInt32 = 2 (1..1000000)  minimum number of orders with both a product and one of the
-- basket
-- @use filters
-- @use language
--
-- @together item_id
-- @cache 300s item_id purchase
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import group_of, groups_in, item_columns, strongest_of_group %}
{% from 'companions.sql' import companions_of, items_of_baskets, keys_of_baskets, since_reference %}
{% from 'lists.sql' import boosted, is_eligible, reranked %}
{% from 'reasons.sql' import bought_together, or_pinned %}
with
    asked as ({{ items_of_baskets(item_id) }}),
    companions as ({{ companions_of(item_id, keys=keys_of_baskets(item_id), **filters) }}),
    ranked as (
        select
            item_id,
            {{ strongest_of_group("shown_key", "shown_key = other_item_key, strength") }} as found_key,
            uniqExact(asked.item_key) as companions_in_basket,
            sum(times) as together,
            sum(strength) * {{ since_reference(now) }} as total,
            {{ boosted("found_key", "total") }} as fit
        from asked
        inner join companions on companions.asked_key = asked.item_key
        where
            times >= {{ min_baskets }}
            and not has({{ groups_in("item_keys") }}, {{ group_of("shown_key") }})
            and {{ is_eligible("shown_key", **filters) }}
        group by item_id, {{ group_of("shown_key") }}
    ),
    arranged as (
        {{
            reranked(
                "ranked",
                "found_key",
                "fit",
                "companions_in_basket desc, fit desc, found_key",
                limit,
                may_pin=is_eligible("pinned_key", **filters),
                by="item_id",
            )
        }}
    )
select
    item_id,
    {{ item_columns("found_key", id="other_item_id", language=language) }},
    companions_in_basket as with_items,
    together as baskets,
    round(fit, 6) as score,
    {{ or_pinned(bought_together("together")) }} as reason
from arranged
order by item_id, position, with_items desc, fit desc, found_key
limit 100000
