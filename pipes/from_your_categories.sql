-- Items that are popular now in the categories this user likes. The score is the category's share of the
-- user's interest times the item's share of the activity in that category, in which a person counts once
-- a day. Activity of a week ago counts half.
--
-- :user_id     String                the user; a guest's session_id works too
-- :limit       UInt16 = 10 (1..100)  number of items
-- :categories  UInt16 = 5 (1..50)    number of categories, the most liked ones
-- @use user
-- @use filters
--
-- @cache 500ms user_id
-- @fallback trending
{% from 'catalogue.sql' import item, item_columns %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen %}
{% from 'reasons.sql' import popular_in_category %}
{% from 'signals.sql' import decay, signal %}
{% set days_counted = 28 %}
{% set half_life_days = 7 %}
with
    tastes as (
        select category as liked_category, sum(events * {{ signal("event_type") }}) as liking
        from user_categories
        where user_id = {{ user_id }} and liked_category != ''
        group by liked_category
        having liking > 0
    ),
    shares as (
        select liked_category, liking / sum(liking) over () as share
        from tastes
        order by share desc, liked_category
        limit {{ categories }}
    ),
    wanted as (
        select
            item_key,
            {{ item("category", "item_key") }} as item_category,
            sumIf(voices, event_type = 'purchase') as times_bought,
            sumIf(voices, event_type = 'view') as times_viewed,
            sum(voices * {{ signal("event_type") }} * {{ decay("day", now, half_life_days) }}) as heat
        from daily_voices
        where day > toDate({{ now }}) - {{ days_counted }} and day <= toDate({{ now }})
        group by item_key
        having heat > 0 and item_category in (select liked_category from shares)
    ),
    scored as (
        select
            item_key,
            item_category,
            times_bought,
            times_viewed,
            share,
            share * heat / sum(heat) over (partition by item_category) as strength
        from wanted
        inner join shares on shares.liked_category = item_category
    ),
    best as (
        select *, {{ boosted("item_key", "strength") }} as fit
        from scored
        where
            {{ is_eligible("item_key", exclude, category, brand, min_price, max_price) }}
            and {{ is_unseen("item_key", user_id, exclude_history) }}
        order by fit desc, item_key
        limit {{ limit }}
    )
select
    {{ item_columns("item_key") }},
    times_bought as purchases,
    times_viewed as views,
    round(share, 4) as your_share,
    round(fit, 6) as score,
    {{ popular_in_category("share", "item_category", "times_bought", "times_viewed", days_counted) }}
    as reason
from best
order by fit desc, item_key
limit {{ limit }}
