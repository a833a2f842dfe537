-- What this person may want next, and why: what goes with all that they bought, carted and viewed, the
-- latest counting most.
-- Which products go together is learnt (`alsobought learn neighbours`); for one too new for that, its
-- baskets tell. Categories that
-- the person likes come first. With leave_out=nothing also what they buy again and again.
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
{% from 'signals.sql' import signal %}
with
    days as (
        select
            item_key as did_key,
            event_type,
            events,
            day,
            last_seq,
            dense_rank() over (order by day desc) as nth
        from user_days
        where user_id = {{ user_id }} and event_type != 'impression'
    ),
    habits as (
        {# A day on which the person did something counts .95 of the next one. #}
        select
            did_key,
            sum(
                events * {{ signal("event_type") }} / {{ signal("'purchase'") }} * pow(0.95, nth - 1)
            ) as habit,
            (sumIf(events, event_type = 'purchase'), sumIf(events, event_type != 'purchase')) as times,
            {# What they do just now speaks up to three times as loudly, the latest most. #}
            log2(1 + habit) * (
                1 + if(
                    max(day) + 1 >= toDate({{ now }}),
                    2 * exp2((1 - row_number() over (order by max(last_seq) desc)) / 5),
                    0
                )
            ) as interest
        from days
        group by did_key
        having habit > 0
    ),
    returned as (
        {# What its buyers come back for counts more. #}
        select item_key as totals_key, pow((sum(orders) + 2) / (sum(buyers) + 2), 0.3) as again
        from item_totals
        where item_key in (select item_key from user_days where user_id = {{ user_id }})
        group by totals_key
    ),
    learnt as (
        select neighbour .1 as wanted_key, neighbour .2 * interest as part, item_key as because_key, times
        from item_neighbours
        inner join habits on did_key = item_key
        array join neighbours as neighbour
        where item_key in (select item_key from user_days where user_id = {{ user_id }})
    ),
    paired as (
        {# Of the ten latest that nothing was learnt of: what stands in baskets with them, as a share of all that does. #}
        select
            other_item_key,
            any(interest) * sum(weight) / sum(sum(weight)) over (partition by item_key) as part,
            item_key as because_key,
            any(times) as because_times
        from co_baskets
        inner join habits on did_key = item_key
        where
            item_key in (
                select item_key
                from user_days
                where
                    user_id = {{ user_id }}
                    and event_type != 'impression'
                    and item_key not in (select item_key from item_neighbours)
                group by item_key
                order by max(last_seq) desc, item_key
                limit 10
            )
        group by item_key, other_item_key
        having sum(baskets) > 0
    ),
    wanted as (
        select wanted_key, sum(part) as want, argMax((because_key, times), (part, because_key)) as because
        from
            (
                select *
                from learnt
                union all
                select *
                from paired
            )
        group by wanted_key
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
        select
            found_key,
            sum(part) as fit,
            max(because .1) as because_key,
            argMax(because .2, because .1) as because_times
        from
            (
                {# A category that has all of a person's interest counts twice. #}
                select
                    wanted_key as found_key,
                    0.3 * want / sum(want) over () * (1 + shares.share) as part,
                    because
                from wanted
                left join shares on shares.liked_category = {{ item("category", "wanted_key") }}
                union all
                select
                    did_key,
                    habit * greatest(1, again) / sum(habit * greatest(1, again)) over (),
                    (toUInt64(0), times)
                from habits
                left join returned on totals_key = did_key
                where {{ leave_out }} = 'nothing'
            )
        where
            {{ may_show("found_key", exclude, category, min_price, max_price, brand) }}
            and {{ new_to("found_key", user_id, leave_out) }}
        group by found_key
        order by fit desc, found_key
        limit 1000
    ),
    ranked as (
        select
            found_key,
            because_key,
            because_times,
            {{ boosted("found_key", rotated("found_key", "fit", user_id, rotate)) }} as strength
        from weighed
    ),
    placed as (
        {{
            in_places(
                "ranked",
                "found_key",
                "strength",
                "strength desc, found_key",
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
    {{ item("item_id", "found_key") }} as item_id,
    {{ item("title", "found_key") }} as title,
    {{ item("category", "found_key") }} as category,
    {{ item("item_id", "because_key") }} as because_item_id,
    {{ item("title", "because_key") }} as because_title,
    round(strength, 6) as score,
    if(
        pinned,
        {{ picked() }},
        concat(
            'because you ',
            if(because_times .1 > 0, 'bought ', 'looked at '),
            multiIf(because_key = 0, 'it', because_title = '', because_item_id, because_title),
            {{
                counted(
                    "if(because_times.1 > 0, because_times.1, because_times.2)",
                    "time",
                    "times",
                    before=", ",
                )
            }}
        )
    ) as reason,
    propensity
from placed
order by place, strength desc, found_key
limit {{ limit }}
