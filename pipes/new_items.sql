-- What is new: items that nothing had happened with until lately, and those that came into the catalogue
-- lately and have not been touched yet. Best first: the score is log2(2 + signals) halved for every two
-- weeks of age, a purchase being 5 signals and a view 1.
--
-- :days       UInt16 = 30 (1..365)     how long an item is new
-- :limit      UInt16 = 10 (1..100)     how many
-- :user_id    String?                  for this person: without what they have
-- :leave_out  String = bought (nothing, bought, seen)  of what the person knows: bought or disliked; or
-- also viewed, clicked, carted
-- :exclude    Array(String)?           leave out these items; repeat it
-- :category   String?                  only items of this category, or below it
-- :brand      Array(String)?           only items of these brands
-- :min_price  Float64? (0..1e12)       none that costs less
-- :max_price  Float64? (0..1e12)       none that costs more
--
-- @cache 60s
-- @fallback popular
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import boosted, may_show, new_to %}
{% from 'signals.sql' import decay, signal %}
{% from 'words.sql' import days_ago, times %}
with
    recent as (
        select
            item_key,
            min(day) as first_day,
            sumIf(events, event_type = 'purchase') as times_bought,
            sumIf(events, event_type = 'view') as times_viewed,
            sum(events * {{ signal("event_type") }}) as signals
        from daily_popularity
        where day > toDate({{ now }}) - {{ days }} and day <= toDate({{ now }}) and item_key != 0
        group by item_key
        union all
        {# What nobody touched: the catalogue says since when. #}
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
            log2(2 + greatest(0, signals)) * {{ decay("first_day", now, 14) }} as strength,
            {{ boosted("item_key", "strength") }} as fit
        from recent
        where
            item_key
            not in (select item_key from daily_popularity where day <= toDate({{ now }}) - {{ days }})
            and {{ may_show("item_key", exclude, category, min_price, max_price, brand) }}
            {% if user_id %} and {{ new_to("item_key", user_id, leave_out) }} {% endif %}
        order by fit desc, item_key
        limit {{ limit }}
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("title", "item_key") }} as title,
    {{ item("category", "item_key") }} as category,
    first_day as new_since,
    times_bought as purchases,
    times_viewed as views,
    round(fit, 6) as score,
    concat(
        'new ',
        {{ days_ago("days_since") }},
        multiIf(
            times_bought > 0,
            concat(', bought ', {{ times("times_bought") }}, ' since'),
            times_viewed > 0,
            concat(', viewed ', {{ times("times_viewed") }}, ' since'),
            ''
        )
    ) as reason
from best
order by fit desc, item_key
limit {{ limit }}
