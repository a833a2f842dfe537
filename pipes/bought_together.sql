-- Products that complete a basket: bought together with its products. Those that go with the most of
-- them come first.
--
-- :item_id      Array(String)            the products in the basket; repeat it
-- :limit        UInt16 = 4 (1..100)      number of products
-- :min_baskets  UInt32 = 2 (1..1000000)  minimum number of orders with both a product and one of the
-- basket
-- @use filters
--
-- @together item_id
-- @cache 300s item_id purchase
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import item_columns %}
{% from 'companions.sql' import companions_of, items_of_baskets, keys_of_baskets, since_reference %}
{% from 'lists.sql' import boosted, is_eligible, reranked %}
{% from 'reasons.sql' import bought_together, or_pinned %}
with
    asked as ({{ items_of_baskets(item_id) }}),
    companions as (
        {{
            companions_of(
                item_id,
                all=category or brand or min_price or max_price,
                keys=keys_of_baskets(item_id),
            )
        }}
    ),
    ranked as (
        select
            item_id,
            other_item_key,
            count() as companions_in_basket,
            sum(times) as together,
            sum(strength) * {{ since_reference(now) }} as total,
            {{ boosted("other_item_key", "total") }} as fit
        from asked
        inner join companions on companions.item_key = asked.item_key
        where
            times >= {{ min_baskets }}
            and not has(item_keys, other_item_key)
            and {{ is_eligible("other_item_key", exclude, category, brand, min_price, max_price) }}
        group by item_id, other_item_key
    ),
    arranged as (
        {{
            reranked(
                "ranked",
                "other_item_key",
                "fit",
                "companions_in_basket desc, fit desc, other_item_key",
                limit,
                may_pin=is_eligible("pinned_key", exclude, category, brand, min_price, max_price),
                by="item_id",
            )
        }}
    )
select
    item_id,
    {{ item_columns("other_item_key", id="other_item_id") }},
    companions_in_basket as with_items,
    together as baskets,
    round(fit, 6) as score,
    {{ or_pinned(bought_together("together")) }} as reason
from arranged
order by item_id, position, with_items desc, fit desc, other_item_key
limit 100000
