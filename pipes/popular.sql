-- The most wanted items of the last days: how many people bought, carted, liked and viewed them. A person
-- counts once a day for each of these. Every fallback chain ends with this pipe and then `all_items`.
--
-- :days   UInt16 = 28 (1..365)  days that count, today included
-- :limit  UInt16 = 10 (1..100)  number of items
-- @use segment
-- @use user
-- @use filters
-- @use language
--
-- @cache 60s
-- @fallback all_items
{% from 'catalogue.sql' import buyable, item_columns, sum_of_group %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen, one_of_each_group %}
{% from 'reasons.sql' import popular_in %}
{% from 'signals.sql' import signal %}
{% from 'users.sql' import days_of %}
with
    counted as (
        select
            item_key,
            sumIf(voices, event_type = 'purchase') as times_bought,
            sumIf(voices, event_type = 'view') as times_viewed,
            sum(voices * {{ signal("event_type") }}) as strength
        from {{ days_of(segment) }}
        where day > toDate({{ now }}) - {{ days }} and day <= toDate({{ now }})
        group by item_key
        having strength > 0
    ),
    best as (
        select
            {{ buyable("item_key") }} as shown_key,
            {{ sum_of_group("times_bought", "item_key") }} as all_bought,
            {{ sum_of_group("times_viewed", "item_key") }} as all_viewed,
            {{ sum_of_group("strength", "item_key") }} as all_strength,
            {{ boosted("shown_key", "all_strength") }} as fit
        from counted
        where
            {{ is_eligible("shown_key", **filters) }}
            {% if user_id %} and {{ is_unseen("shown_key", user_id, exclude_history) }} {% endif %}
            {{ one_of_each_group("shown_key", "shown_key != item_key, strength desc, shown_key") }}
        order by fit desc, shown_key
        limit {{ limit }}
    )
select
    {{ item_columns("shown_key", language=language) }},
    all_bought as purchases,
    all_viewed as views,
    round(fit / {{ signal("'purchase'") }}, 2) as score,
    {{ popular_in("all_bought", "all_viewed", days) }} as reason
from best
order by fit desc, shown_key
limit {{ limit }}
