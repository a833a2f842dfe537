-- Products bought in the same basket as this one, best first: recent baskets count more, large baskets less.
--
-- :item_id    String                the product on the page; repeat it to ask for several at once
-- :limit      UInt16 = 10 (1..100)  how many for each
-- :user_id    String?               for this person: without what they have
-- :leave_out  String = bought (nothing, bought, seen)  what the person has: bought or disliked; seen: also
-- viewed, clicked, carted
-- :exclude    Array(String)?        leave out these items; repeat it
-- :category   String?               only products of this category, or below it
-- :brand      Array(String)?        only products of these brands
-- :min_price  Float64? (0..1e12)    only products that cost at least this
-- :max_price  Float64? (0..1e12)    only products that cost at most this
--
-- @key item_id
-- @cache 60s item_id
-- @fallback trending  item_id as other_item_id
{% from 'catalogue.sql' import item, keys_of %}
{% from 'lists.sql' import because, boosted, counted, in_places, may_show, new_to %}
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
    ranked as (
        select item_key, other_item_key, times, {{ boosted("other_item_key", "strength") }} as fit
        from scored
        where
            {{ may_show("other_item_key", exclude, category, min_price, max_price, brand) }}
            {% if user_id %} and {{ new_to("other_item_key", user_id, leave_out) }} {% endif %}
    ),
    placed as (
        {{
            in_places(
                "ranked",
                "other_item_key",
                "fit",
                "fit desc, other_item_key",
                limit,
                may_pin=may_show("pinned_key", exclude, category, min_price, max_price, brand),
                by="item_key",
            )
        }}
    ),
    best as (
        select item_key, other_item_key, times, fit, place, pinned
        from placed
        order by place, fit desc, other_item_key
        limit {{ limit }} by item_key
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("item_id", "other_item_key") }} as other_item_id,
    {{ item("title", "other_item_key") }} as title,
    {{ item("category", "other_item_key") }} as category,
    times as baskets,
    round(fit, 6) as score,
    {{ because(counted("times", "basket", "baskets", before="bought together in ")) }} as reason
from best
order by item_id, place, fit desc, other_item_key
limit 100000
