-- The most wanted items of the last days, by purchases, carts, likes and views. Every fallback chain
-- ends with this pipe and then `all_items`.
--
-- :days   UInt16 = 28 (1..365)  days that count, today included
-- :limit  UInt16 = 10 (1..100)  number of items
-- @use segment
-- @use user
-- @use filters
--
-- @cache 60s
-- @fallback all_items
{% from 'catalogue.sql' import item_columns %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen %}
{% from 'reasons.sql' import popular_in %}
{% from 'signals.sql' import signal %}
{% from 'totals.sql' import is_item %}
{% from 'users.sql' import days_of %}
with
    counted as (
        select
            item_key,
            sumIf(events, event_type = 'purchase') as times_bought,
            sumIf(events, event_type = 'view') as times_viewed,
            sum(events * {{ signal("event_type") }}) as strength
        from {{ days_of(segment) }}
        where day > toDate({{ now }}) - {{ days }} and day <= toDate({{ now }}) and {{ is_item("item_key") }}
        group by item_key
        having strength > 0
    ),
    best as (
        select item_key, times_bought, times_viewed, {{ boosted("item_key", "strength") }} as fit
        from counted
        where
            {{ is_eligible("item_key", exclude, category, brand, min_price, max_price) }}
            {% if user_id %} and {{ is_unseen("item_key", user_id, exclude_history) }} {% endif %}
        order by fit desc, item_key
        limit {{ limit }}
    )
select
    {{ item_columns("item_key") }},
    times_bought as purchases,
    times_viewed as views,
    round(fit / {{ signal("'purchase'") }}, 2) as score,
    {{ popular_in("times_bought", "times_viewed", days) }} as reason
from best
order by fit desc, item_key
limit {{ limit }}
