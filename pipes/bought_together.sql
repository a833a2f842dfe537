-- What completes a basket: products that stand in orders with the products of this one, those that go with
-- most of them first.
--
-- :item_id      Array(String)            the products in the basket; repeat it
-- :limit        UInt16 = 4 (1..100)      how many
-- :min_baskets  UInt32 = 2 (1..1000000)  a product counts as a companion from this many orders together
-- :exclude      Array(String)?           leave out these items; repeat it
-- :category     String?                  only products of this category, or below it
-- :brand        Array(String)?           only products of these brands
-- :min_price    Float64? (0..1e12)       only products that cost at least this
-- :max_price    Float64? (0..1e12)       only products that cost at most this
--
-- @cache 60s item_id
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import item, keys_of %}
{% from 'lists.sql' import because, boosted, counted, in_places, may_show %}
with
    pairs as (
        select item_key, other_item_key, sum(baskets) as times, sum(weight) / 1e6 as strength
        from co_baskets
        where item_key in {{ keys_of(item_id) }}
        group by item_key, other_item_key
        having times >= {{ min_baskets }}
    ),
    companions as (
        select other_item_key, count() as companions_in_basket, sum(times) as together, sum(strength) as total
        from pairs
        where
            other_item_key not in {{ keys_of(item_id) }}
            and {{ may_show("other_item_key", exclude, category, min_price, max_price, brand) }}
        group by other_item_key
    ),
    ranked as (
        select other_item_key, companions_in_basket, together, {{ boosted("other_item_key", "total") }} as fit
        from companions
    ),
    placed as (
        {{
            in_places(
                "ranked",
                "other_item_key",
                "fit",
                "companions_in_basket desc, fit desc, other_item_key",
                limit,
                may_pin=may_show("pinned_key", exclude, category, min_price, max_price, brand),
            )
        }}
    )
select
    {{ item("item_id", "other_item_key") }} as other_item_id,
    {{ item("title", "other_item_key") }} as title,
    {{ item("category", "other_item_key") }} as category,
    companions_in_basket as with_items,
    together as baskets,
    round(fit, 6) as score,
    {{ because(counted("together", "basket", "baskets", before="bought together in ")) }} as reason
from placed
order by place, with_items desc, fit desc, other_item_key
limit {{ limit }}
