-- What this person may want next: products that go with what they bought, carted and viewed lately, and why.
-- Products of the categories they like come first; those they already bought or dislike are left out.
--
-- :user_id       String                the person; a guest's session_id works too
-- :limit         UInt16 = 10 (1..100)  how many
-- :leave_out     String = bought (nothing, bought, seen)  what the person has: bought or disliked; seen:
-- also viewed, clicked, carted
-- :rotate        Bool = true           whether what was shown and never clicked gives way
-- :exclude       Array(String)?        leave out these items; repeat it
-- :category      String?               only products of this category, or below it
-- :brand         Array(String)?        only products of these brands
-- :min_price     Float64? (0..1e12)    only products that cost at least this
-- :max_price     Float64? (0..1e12)    only products that cost at most this
-- :diversity     Float64? (0..1)       how much less an item counts that is like those before it; 0 is off
-- :per_category  UInt8? (1..100)       at most so many of one category within `window`
-- :window        UInt8 = 10 (2..100)   so many places in a row
-- :explore       Float64? (0..1)       the share of places that try something from further down
-- :seed          UInt32 = 0            another one tries something else
--
-- @cache 500ms user_id
-- @fallback trending
{% from 'catalogue.sql' import item %}
{% from 'lists.sql' import boosted, counted, in_places, may_show, new_to, picked, rotated %}
{% from 'signals.sql' import signal, decay %}
with
    touched as (
        select
            cityHash64(item_id) as item_key,
            sum(events * {{ signal("event_type") }}) as signals,
            max(last_seq) as newest
        from user_items
        where user_id = {{ user_id }}
        group by item_key
    ),
    interests as (
        {# The latest 10, the latest one counting twice as much as the sixth. #}
        select
            item_key,
            log2(1 + signals) * exp2(- (row_number() over (order by newest desc) - 1) / 5) as interest
        from touched
        where signals > 0
        order by newest desc, item_key
        limit 10
    ),
    candidates as (
        select
            other_item_key,
            argMax(pairs.item_key, (pairs.strength * interest, pairs.item_key)) as because_key,
            argMax(pairs.times, (pairs.strength * interest, pairs.item_key)) as because_times,
            sum(pairs.strength * interest) as total
        from
            (
                select item_key, other_item_key, sum(baskets) as times, sum(weight) / 1e6 as strength
                from co_baskets
                where item_key in (select item_key from interests)
                group by item_key, other_item_key
                having times > 0
            ) as pairs
        inner join interests on interests.item_key = pairs.item_key
        where {{ new_to("other_item_key", user_id, leave_out) }}
        group by other_item_key
    ),
    tastes as (
        select category as liked_category, sum(events * {{ signal("event_type") }}) as liking
        from user_categories
        where user_id = {{ user_id }} and liked_category != ''
        group by liked_category
        having liking > 0
    ),
    shares as (select liked_category, liking / sum(liking) over () as share from tastes),
    weighed as (
        {# A category that has all of a person's interest counts twice. #}
        select other_item_key, because_key, because_times, total * (1 + shares.share) as fit
        from candidates
        left join shares on shares.liked_category = {{ item("category", "candidates.other_item_key") }}
        where {{ may_show("other_item_key", exclude, category, min_price, max_price, brand) }}
    ),
    ranked as (
        select
            other_item_key,
            because_key,
            because_times,
            {{ boosted("other_item_key", rotated("other_item_key", "fit", user_id, rotate)) }} as strength
        from weighed
    ),
    placed as (
        {{
            in_places(
                "ranked",
                "other_item_key",
                "strength",
                "strength desc, other_item_key",
                limit,
                may_pin=may_show("pinned_key", exclude, category, min_price, max_price, brand),
                diversity=diversity,
                per_category=per_category,
                window=window,
                explore=explore,
                seed=seed,
                person=user_id,
            )
        }}
    )
select
    {{ item("item_id", "other_item_key") }} as item_id,
    {{ item("title", "other_item_key") }} as title,
    {{ item("category", "other_item_key") }} as category,
    {{ item("item_id", "because_key") }} as because_item_id,
    {{ item("title", "because_key") }} as because_title,
    round(strength, 6) as score,
    if(
        pinned,
        {{ picked() }},
        concat(
            'because of ',
            if(because_title = '', because_item_id, because_title),
            {{ counted("because_times", "basket", "baskets", before=", together in ") }}
        )
    ) as reason,
    propensity
from placed
order by place, strength desc, other_item_key
limit {{ limit }}
