-- Whom to tell about an item: people who bought, carted or viewed it or what goes with it, and have not
-- bought it. Who dislikes it is left out. What they did half a year ago counts half.
--
-- :item_id  String                   the item to tell about
-- :limit    UInt16 = 10 (1..100)     how many people
-- :days     UInt16 = 365 (1..3650)   only people who were there in the last so many days
--
-- @cache 60s item_id
{#- An item that goes with it counts as much as it shares orders and visits with it, the closest one 1, the item itself 2;
    what a person did with it by log2(1 + signals): a purchase is 5 signals, a view 1. -#}
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import counted %}
{% from 'signals.sql' import decay, signal %}
{% from 'words.sql' import days_ago, named %}
with
    pairs as (
        select other_item_key, toFloat64(sum(sessions)) as strength
        from co_views
        where item_key = cityHash64({{ item_id }})
        group by other_item_key
        union all
        select
            other_item_key,
            sum(weight) / 1e6 * {{ signal("'purchase'") }} / {{ signal("'view'") }} as strength
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
        limit 30
    ),
    (
        select
            (
                arrayConcat([cityHash64({{ item_id }})], groupArray(other_item_key)),
                arrayConcat([2.], groupArray(total / greatest(max_total, 1e-9)))
            )
        from (select other_item_key, total, max(total) over () as max_total from companions)
    ) as goes_with,
    signals as (
        select
            user_id as person,
            item_key,
            sum(events * {{ signal("event_type") }}) as strength,
            max(toDate(item_users.last_time)) as last_day
        from item_users
        where item_key in (select arrayJoin(tupleElement(goes_with, 1)))
        group by person, item_key
        having strength > 0
    ),
    weighed as (
        select
            person,
            item_key,
            last_day,
            transform(item_key, tupleElement(goes_with, 1), tupleElement(goes_with, 2), 0.)
            * log2(1 + strength)
            * {{ decay("last_day", now, 180) }} as interest
        from signals
        where
            last_day <= toDate({{ now }})
            and person not in (
                select user_id
                from item_users
                where item_key = cityHash64({{ item_id }}) and event_type in ('purchase', 'dislike')
                group by user_id
                having sum(events) > 0
            )
    ),
    best as (
        select
            person,
            argMax(weighed.item_key, (interest, weighed.item_key)) as because_key,
            count() as touched_items,
            countIf(weighed.item_key = cityHash64({{ item_id }})) > 0 as looked_at_it,
            touched_items - looked_at_it as known_items,
            max(last_day) as latest_day,
            toDate({{ now }}) - latest_day as days_since,
            sum(interest) as total
        from weighed
        group by person
        having latest_day > toDate({{ now }}) - {{ days }}
        order by total desc, person
        limit {{ limit }}
    )
select
    person as user_id,
    {{ item("item_id", "because_key") }} as because_item_id,
    {{ item("title", "because_key") }} as because_title,
    touched_items as items,
    latest_day as last_day,
    round(total, 6) as score,
    concat(
        if(looked_at_it, 'looked at it', ''),
        if(looked_at_it and known_items > 0, ' and ', ''),
        multiIf(
            known_items = 0,
            '',
            looked_at_it,
            concat('knows ', {{ counted("known_items", "item that goes with it", "items that go with it") }}),
            known_items = 1,
            concat('knows ', {{ named("because_key") }}),
            concat(
                'knows ',
                {{ named("because_key") }},
                ' and ',
                {{
                    counted(
                        "(known_items - 1)", "other item that goes with it", "other items that go with it"
                    )
                }}
            )
        ),
        ', last ',
        {{ days_ago("days_since") }}
    ) as reason
from best
order by total desc, user_id
limit {{ limit }}
