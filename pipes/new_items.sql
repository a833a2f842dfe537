-- New items, best first: those that the shop published in the last days (`published_at`), or else that it
-- posted or of which it had a first event. Items of the first load of a catalogue are new only if their
-- events began before it. The score is log2(2 + signals), halved for every two weeks of age; a purchase is
-- 5 signals and a view 1, once a day for each person.
--
-- :days   UInt16 = 30 (1..365)  how long an item is new
-- :limit  UInt16 = 10 (1..100)  number of items
-- @use user
-- @use filters
-- @use language
--
-- @cache 60s
-- @fallback popular
{% from 'catalogue.sql' import buyable, item, item_columns, sum_of_group %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen, one_of_each_group %}
{% from 'reasons.sql' import new_since %}
{% from 'signals.sql' import decay, signal %}
{% set half_life_days = 14 %}
with
    recent as (
        select
            item_key,
            min(day) as first_event,
            sumIf(voices, event_type = 'purchase') as times_bought,
            sumIf(voices, event_type = 'view') as times_viewed,
            sum(voices * {{ signal("event_type") }}) as signals
        from daily_voices
        where day > toDate({{ now }}) - {{ days }} and day <= toDate({{ now }})
        group by item_key
        union all
        {# Items of the catalogue without a recent event. #}
        select distinct
            cityHash64(items.item_id) as item_key,
            toDate('2149-06-06') as first_event,
            0 as times_bought,
            0 as times_viewed,
            0 as signals
        from items
        where
            item_key not in (
                select item_key
                from daily_voices
                where day > toDate({{ now }}) - {{ days }} and day <= toDate({{ now }})
            )
    ),
    dated as (
        select
            *,
            {{ item("is_published", "item_key") }} as has_date,
            {{ item("listed_since", "item_key") }} as listed,
            if(has_date, listed, least(first_event, listed)) as first_day
        from recent
        where not {{ item("with_first_load", "item_key") }} or first_event < listed
    ),
    best as (
        select
            {{ buyable("item_key") }} as shown_key,
            first_day,
            toDate({{ now }}) - first_day as days_since,
            {{ sum_of_group("times_bought", "item_key") }} as all_bought,
            {{ sum_of_group("times_viewed", "item_key") }} as all_viewed,
            {{ sum_of_group("signals", "item_key") }} as all_signals,
            log2(2 + greatest(0, all_signals)) * {{ decay("first_day", now, half_life_days) }} as strength,
            {{ boosted("shown_key", "strength") }} as fit
        from dated
        where
            first_day > toDate({{ now }}) - {{ days }}
            and first_day <= toDate({{ now }})
            and (
                has_date
                or item_key
                not in (select item_key from daily_popularity where day <= toDate({{ now }}) - {{ days }})
            )
            and {{ is_eligible("shown_key", **filters) }}
            {% if user_id %} and {{ is_unseen("shown_key", user_id, exclude_history) }} {% endif %}
            {{
                one_of_each_group(
                    "shown_key", "shown_key != item_key, first_day desc, signals desc, shown_key"
                )
            }}
        order by fit desc, shown_key
        limit {{ limit }}
    )
select
    {{ item_columns("shown_key", language=language) }},
    first_day as new_since,
    all_bought as purchases,
    all_viewed as views,
    round(fit, 6) as score,
    {{ new_since("days_since", "all_bought", "all_viewed") }} as reason
from best
order by fit desc, shown_key
limit {{ limit }}
