-- What is wanted now in the categories this person likes. An item's score is the share of the person's
-- interest that its category has, times the share of the item in what happens there: the chance that they
-- turn to the category, and that whoever does picks the item. What happened a week ago counts half.
--
-- :user_id     String                   the person; a guest's session_id works too
-- :limit       UInt16 = 10 (1..100)     how many
-- :categories  UInt16 = 5 (1..50)       of how many categories, the most liked ones
-- :leave_out   String = bought (nothing, bought, seen)  of what the person has had: what they bought or
-- dislike, or all they saw
-- :exclude     Array(String)?           leave out these items; repeat it
-- :category    String?                  only items of this category, or below it
-- :brand       Array(String)?           only items of these brands
-- :min_price   Float64? (0..1e12)       none that costs less
-- :max_price   Float64? (0..1e12)       none that costs more
--
-- @cache 500ms user_id
-- @fallback trending
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import boosted, may_show, new_to %}
{% from 'signals.sql' import decay, signal %}
{% from 'words.sql' import times %}
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
            sumIf(events, event_type = 'purchase') as times_bought,
            sumIf(events, event_type = 'view') as times_viewed,
            sum(events * {{ signal("event_type") }} * {{ decay("day", now, 7) }}) as heat
        from daily_popularity
        where day > toDate({{ now }}) - 28 and day <= toDate({{ now }}) and item_key != 0
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
            item_key,
            item_category,
            times_bought,
            times_viewed,
            share,
            {{ boosted("item_key", "strength") }} as fit
        from scored
        where
            {{ may_show("item_key", exclude, category, min_price, max_price, brand) }}
            and {{ new_to("item_key", user_id, leave_out) }}
        order by fit desc, item_key
        limit {{ limit }}
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("title", "item_key") }} as title,
    item_category as category,
    times_bought as purchases,
    times_viewed as views,
    round(share, 4) as your_share,
    round(fit, 6) as score,
    concat(
        toString(greatest(1, round(100 * share))),
        ' % of your interest is in ',
        item_category,
        ': ',
        multiIf(
            times_bought > 0,
            concat('bought ', {{ times("times_bought") }}),
            times_viewed > 0,
            concat('viewed ', {{ times("times_viewed") }}),
            'wanted'
        ),
        ' in the last 28 days'
    ) as reason
from best
order by fit desc, item_key
limit {{ limit }}
