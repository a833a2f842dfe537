-- What this person buys regularly and is about to need again. With n purchases, the usual interval is the
-- time from the first to the last divided by n - 1; what is due is how many of these intervals have passed
-- since the last one. The score is n * least(due, 1) / 2^(greatest(due, 1) - 1): it grows until the
-- interval is over, then halves with every one missed.
--
-- :user_id    String                   the person; a guest's session_id works too
-- :limit      UInt16 = 10 (1..100)     how many
-- :due        Float64 = 0.5 (0..10)    how many intervals must have passed: 1 for what is due by now, 0 for
-- all that is regular
-- :exclude    Array(String)?           leave out these items; repeat it
-- :category   String?                  only items of this category, or below it
-- :brand      Array(String)?           only items of these brands
-- :min_price  Float64? (0..1e12)       none that costs less
-- :max_price  Float64? (0..1e12)       none that costs more
--
-- @cache 60s user_id
-- @fallback for_you
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import boosted, may_show %}
{% from 'words.sql' import days_ago, times %}
with
    bought as (
        select
            cityHash64(item_id) as item_key,
            sumIf(events, event_type = 'purchase') as times,
            sumIf(events, event_type = 'dislike') as dislikes,
            toDate(minIf(user_items.first_time, event_type = 'purchase')) as first_day,
            toDate(maxIf(user_items.last_time, event_type = 'purchase')) as last_day
        from user_items
        where user_id = {{ user_id }} and event_type in ('purchase', 'dislike')
        group by item_key
        having times > 1 and dislikes <= 0 and last_day > first_day
    ),
    regular as (
        select
            item_key,
            times,
            last_day,
            toDate({{ now }}) - last_day as days_since,
            (last_day - first_day) / (times - 1) as interval_days,
            days_since / interval_days as intervals_passed
        from bought
        where last_day <= toDate({{ now }})
    ),
    scored as (
        select
            item_key,
            times,
            last_day,
            days_since,
            interval_days,
            intervals_passed,
            times * least(intervals_passed, 1) * exp2(1 - greatest(intervals_passed, 1)) as strength,
            {{ boosted("item_key", "strength") }} as fit
        from regular
        where
            intervals_passed >= {{ due }}
            and {{ may_show("item_key", exclude, category, min_price, max_price, brand) }}
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("title", "item_key") }} as title,
    {{ item("category", "item_key") }} as category,
    times as purchases,
    round(interval_days, 1) as every_days,
    round(intervals_passed, 2) as due,
    last_day as last_bought,
    round(fit, 6) as score,
    concat(
        'bought ',
        {{ times("times") }},
        ', about every ',
        if(round(interval_days) <= 1, 'day', concat(toString(round(interval_days)), ' days')),
        ', last ',
        {{ days_ago("days_since") }}
    ) as reason
from scored
order by fit desc, last_day, item_key
limit {{ limit }}
