-- What is wanted most: purchases of the last days, together with carts, likes and views as far as they say
-- something. It is where every chain of fallbacks arrives: whoever asks for more than happened gets the
-- rest of the shop behind it.
--
-- :days       UInt16 = 28 (1..365)     how many days count, today included
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
-- @fallback all_items
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import boosted, may_show, new_to %}
{% from 'signals.sql' import signal %}
{% from 'words.sql' import times %}
with
    counted as (
        select
            item_key,
            sumIf(events, event_type = 'purchase') as times_bought,
            sumIf(events, event_type = 'view') as times_viewed,
            sum(events * {{ signal("event_type") }}) as strength
        from daily_popularity
        where day > toDate({{ now }}) - {{ days }} and day <= toDate({{ now }}) and item_key != 0
        group by item_key
        having strength > 0
    ),
    best as (
        select item_key, times_bought, times_viewed, {{ boosted("item_key", "strength") }} as fit
        from counted
        where
            {{ may_show("item_key", exclude, category, min_price, max_price, brand) }}
            {% if user_id %} and {{ new_to("item_key", user_id, leave_out) }} {% endif %}
        order by fit desc, item_key
        limit {{ limit }}
    )
select
    {{ item("item_id", "item_key") }} as item_id,
    {{ item("title", "item_key") }} as title,
    {{ item("category", "item_key") }} as category,
    times_bought as purchases,
    times_viewed as views,
    round(fit / {{ signal("'purchase'") }}, 2) as score,
    concat(
        multiIf(
            times_bought > 0,
            concat('bought ', {{ times("times_bought") }}),
            times_viewed > 0,
            concat('viewed ', {{ times("times_viewed") }}),
            'wanted'
        ),
        if({{ days }} = 1, ' today', concat(' in the last ', toString({{ days }}), ' days'))
    ) as reason
from best
order by fit desc, item_key
limit {{ limit }}
