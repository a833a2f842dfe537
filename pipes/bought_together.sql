-- Products that complete a basket: bought together with its products. Those that go with the most of
-- them come first.
--
-- :item_id      Array(String)            the products in the basket; repeat it
-- :limit        UInt16 = 4 (1..100)      number of products
-- :min_baskets  UInt32 = 2 (1..1000000)  minimum number of orders with both a product and one of the
-- basket
-- @use filters
--
-- @cache 60s item_id purchase
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import item_columns, keys_of %}
{% from 'companions.sql' import companions_of, since_reference %}
{% from 'lists.sql' import boosted, is_eligible, reranked %}
{% from 'reasons.sql' import bought_together, or_pinned %}
with
    ranked as (
        select
            other_item_key,
            count() as companions_in_basket,
            sum(times) as together,
            sum(strength) * {{ since_reference(now) }} as total,
            {{ boosted("other_item_key", "total") }} as fit
        from ({{ companions_of(item_id, all=category or brand or min_price or max_price) }})
        where
            times >= {{ min_baskets }}
            and other_item_key not in {{ keys_of(item_id) }}
            and {{ is_eligible("other_item_key", exclude, category, brand, min_price, max_price) }}
        group by other_item_key
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
            )
        }}
    )
select
    {{ item_columns("other_item_key", id="other_item_id") }},
    companions_in_basket as with_items,
    together as baskets,
    round(fit, 6) as score,
    {{ or_pinned(bought_together("together")) }} as reason
from arranged
order by position, with_items desc, fit desc, other_item_key
limit {{ limit }}
