-- New items, best first: items whose first event is recent, and recent items of the catalogue without
-- events. The score is log2(2 + signals), halved for every two weeks of age; a purchase is 5 signals and
-- a view 1.
--
-- :days   UInt16 = 30 (1..365)  how long an item is new
-- :limit  UInt16 = 10 (1..100)  number of items
-- @use user
-- @use filters
--
-- @cache 60s
-- @fallback popular
{% from 'catalogue.sql' import item_columns %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen %}
{% from 'reasons.sql' import new_since %}
{% from 'signals.sql' import decay, signal %}
{% from 'totals.sql' import is_item %}
{% set half_life_days = 14 %}
with
    recent as (
        select
            item_key,
            min(day) as first_day,
            sumIf(events, event_type = 'purchase') as times_bought,
            sumIf(events, event_type = 'view') as times_viewed,
            sum(events * {{ signal("event_type") }}) as signals
        from daily_popularity
        where day > toDate({{ now }}) - {{ days }} and day <= toDate({{ now }}) and {{ is_item("item_key") }}
        group by item_key
        union all
        {# Items without events: new since the catalogue has them. #}
        select
            cityHash64(items.item_id) as item_key,
            toDate(max(items.updated_at)) as first_day,
            0 as times_bought,
            0 as times_viewed,
            0 as signals
        from items
        where
            item_key not in (
                select item_key
                from daily_popularity
                where day > toDate({{ now }}) - {{ days }} and day <= toDate({{ now }})
            )
        group by item_key
        having first_day > toDate({{ now }}) - {{ days }} and first_day <= toDate({{ now }})
    ),
    best as (
        select
            item_key,
            first_day,
            toDate({{ now }}) - first_day as days_since,
            times_bought,
            times_viewed,
            log2(2 + greatest(0, signals)) * {{ decay("first_day", now, half_life_days) }} as strength,
            {{ boosted("item_key", "strength") }} as fit
        from recent
        where
            item_key
            not in (select item_key from daily_popularity where day <= toDate({{ now }}) - {{ days }})
            and {{ is_eligible("item_key", exclude, category, brand, min_price, max_price) }}
            {% if user_id %} and {{ is_unseen("item_key", user_id, exclude_history) }} {% endif %}
        order by fit desc, item_key
        limit {{ limit }}
    )
select
    {{ item_columns("item_key") }},
    first_day as new_since,
    times_bought as purchases,
    times_viewed as views,
    round(fit, 6) as score,
    {{ new_since("days_since", "times_bought", "times_viewed") }} as reason
from best
order by fit desc, item_key
limit {{ limit }}
