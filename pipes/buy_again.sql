-- Items that this user buys regularly and will soon need again. The usual interval of n purchases is the
-- time from the first to the last divided by n - 1, and `due` is the number of intervals since the last
-- one. The score is n * least(due, 1) / 2^(greatest(due, 1) - 1): it grows until an interval is over,
-- and each further interval halves it.
--
-- :user_id  String                 the user; a guest's session_id works too. Repeat it to ask for several
-- :limit    UInt16 = 10 (1..100)   number of items for each
-- :due      Float64 = 0.5 (0..10)  minimum number of intervals since the last purchase: 1 for items
-- that are due now, 0 for all
-- @use filters
-- @use language
--
-- @key user_id
-- @cache 300s user_id
-- @fallback for_you
{% from 'catalogue.sql' import item_columns %}
{% from 'lists.sql' import boosted, is_eligible, one_of_each_group %}
{% from 'reasons.sql' import bought_regularly %}
with
    bought as (
        select
            user_id,
            one.item_key as item_key,
            sumIf(one.events, one.event_type = 'purchase') as times,
            toDate(minIf(one.first_time, one.event_type = 'purchase')) as first_day,
            toDate(maxIf(one.last_time, one.event_type = 'purchase')) as last_day
        from user_history
        array join items as one
        where user_id in (select arrayJoin({{ user_id }})) and one.event_type in ('purchase', 'dislike')
        group by user_id, item_key
        having times > 1 and countIf(one.event_type = 'dislike') = 0 and last_day > first_day
    ),
    regular as (
        select
            user_id,
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
            *,
            times * least(intervals_passed, 1) * exp2(1 - greatest(intervals_passed, 1)) as strength,
            {{ boosted("item_key", "strength") }} as fit
        from regular
        where
            intervals_passed >= {{ due }} and {{ is_eligible("item_key", **filters) }}
            {{ one_of_each_group("item_key", "fit desc, last_day, item_key", by="user_id") }}
        order by fit desc, last_day, item_key
        limit {{ limit }} by user_id
    )
select
    user_id,
    {{ item_columns("item_key", language=language) }},
    times as purchases,
    round(interval_days, 1) as every_days,
    round(intervals_passed, 2) as due,
    last_day as last_bought,
    round(fit, 6) as score,
    {{ bought_regularly("times", "interval_days", "days_since") }} as reason
from scored
order by user_id, fit desc, last_day, item_key
limit 100000
