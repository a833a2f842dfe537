-- Users who may want an item: they carted or viewed it, or bought, carted or viewed items that go with
-- it. Users who bought or dislike it or a variant of it are left out. Activity of half a year ago counts
-- half.
--
-- :item_id  String                  the item to offer
-- :limit    UInt16 = 10 (1..100)    number of users
-- :days     UInt16 = 365 (1..3650)  only users who were active in this many days
-- @use segment
-- @use language
--
-- @cache 60s item_id
{#- The interest of a user is a sum over the item and its companions: weight * log2(1 + signals), a purchase being 5 signals and a
    view 1. The item itself weighs 2, the closest companion 1, the others by the orders and visits they share with it. -#}
{% from 'catalogue.sql' import item, keys_of_variants, title_in %}
{% from 'constants.sql' import half_life_days, tiny, weight_unit %}
{% from 'reasons.sql' import interested_in %}
{% from 'signals.sql' import decay, signal %}
{% from 'users.sql' import in_segment %}
{% set own_weight = "2." %}
{% set max_companions = 30 %}
with
    pairs as (
        select other_item_key, toFloat64(sum(sessions)) as strength
        from co_views
        where item_key = cityHash64({{ item_id }})
        group by other_item_key
        union all
        select
            other_item_key,
            sum(weight) / {{ weight_unit }} * {{ signal("'purchase'") }} / {{ signal("'view'") }} as strength
        from co_baskets
        where item_key = cityHash64({{ item_id }})
        group by other_item_key
    ),
    companions as (
        select other_item_key, sum(pairs.strength) as total
        from pairs
        group by other_item_key
        having total > 0
        order by total desc, other_item_key
        limit {{ max_companions }}
    ),
    (
        select
            (
                arrayConcat([cityHash64({{ item_id }})], groupArray(other_item_key)),
                arrayConcat([{{ own_weight }}], groupArray(total / greatest(max_total, {{ tiny }})))
            )
        from (select other_item_key, total, max(total) over () as max_total from companions)
    ) as goes_with,
    signals as (
        select
            user_id as candidate,
            item_key,
            sum(events * {{ signal("event_type") }}) as strength,
            max(toDate(item_users.last_time)) as last_day
        from item_users
        where
            item_key in (select arrayJoin(tupleElement(goes_with, 1)))
            {% if segment %} and {{ in_segment("user_id", segment) }} {% endif %}
        group by candidate, item_key
        having strength > 0
    ),
    weighed as (
        select
            candidate,
            item_key,
            last_day,
            transform(item_key, tupleElement(goes_with, 1), tupleElement(goes_with, 2), 0.)
            * log2(1 + strength)
            * {{ decay("last_day", now, half_life_days) }} as interest
        from signals
        where
            last_day <= toDate({{ now }})
            and candidate not in (
                select user_id
                from item_users
                where item_key in {{ keys_of_variants(item_id) }} and event_type in ('purchase', 'dislike')
                group by user_id
                having sum(events) > 0
            )
    ),
    best as (
        select
            candidate,
            argMax(weighed.item_key, (interest, weighed.item_key)) as because_key,
            count() as touched_items,
            countIf(weighed.item_key = cityHash64({{ item_id }})) > 0 as looked_at_it,
            touched_items - looked_at_it as known_items,
            max(last_day) as latest_day,
            toDate({{ now }}) - latest_day as days_since,
            sum(interest) as total
        from weighed
        group by candidate
        having latest_day > toDate({{ now }}) - {{ days }}
        order by total desc, candidate
        limit {{ limit }}
    )
select
    candidate as user_id,
    {{ item("item_id", "because_key") }} as because_item_id,
    {{ title_in(language, "because_key") }} as because_title,
    touched_items as items,
    latest_day as last_day,
    round(total, 6) as score,
    {{ interested_in("looked_at_it", "known_items", "because_key", "days_since") }} as reason
from best
order by total desc, user_id
limit {{ limit }}
