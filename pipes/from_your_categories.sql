-- Items that are popular now in the categories this user likes. The score is the category's share of the
-- user's interest times the item's share of the activity in that category, in which a person counts once
-- a day. Activity of a week ago counts half.
--
-- :user_id     String                the user; a guest's session_id works too
-- :limit       UInt16 = 10 (1..100)  number of items
-- :categories  UInt16 = 5 (1..50)    number of categories, the most liked ones
-- @use user
-- @use filters
-- @use language
--
-- @cache 500ms user_id
-- @fallback trending
{% from 'catalogue.sql' import buyable, item, item_columns, sum_of_group %}
{% from 'lists.sql' import boosted, is_eligible, is_unseen, one_of_each_group %}
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
        select
            {{ buyable("item_key") }} as shown_key,
            item_category,
            share,
            {{ sum_of_group("times_bought", "item_key") }} as all_bought,
            {{ sum_of_group("times_viewed", "item_key") }} as all_viewed,
            {{ sum_of_group("strength", "item_key") }} as all_strength,
            {{ boosted("shown_key", "all_strength") }} as fit
        from scored
        where
            {{ is_eligible("shown_key", **filters) }}
            and {{ is_unseen("shown_key", user_id, exclude_history) }}
            {{ one_of_each_group("shown_key", "shown_key != item_key, strength desc, shown_key") }}
        order by fit desc, shown_key
        limit {{ limit }}
    )
select
    {{ item_columns("shown_key", language=language) }},
    all_bought as purchases,
    all_viewed as views,
    round(share, 4) as your_share,
    round(fit, 6) as score,
    {{ popular_in_category("share", "item_category", "all_bought", "all_viewed", days_counted) }} as reason
from best
order by fit desc, shown_key
limit {{ limit }}
