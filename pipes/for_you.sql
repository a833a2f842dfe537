-- What this person may want next, and why: what goes with all that they bought, carted and viewed, the
-- latest counting most. Which products go together is learnt (`alsobought learn neighbours`); for one too
-- new for that, its baskets tell. Categories that the person likes come first. With leave_out=nothing also
-- what they buy again and again.
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
-- @cache 60s user_id
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
    companions as (
        {# Of each item what goes with it, and how much: as was learnt, else as the latest ten stand in baskets. #}
        select item_key as own_key, neighbours as others
        from item_neighbours
        where item_key in (select item_key from user_days where user_id = {{ user_id }})
        union all
        select item_key, groupArray((other_item_key, part))
        from
            (
                select
                    item_key,
                    other_item_key,
                    sum(weight) / sum(sum(weight)) over (partition by item_key) as part
                from co_baskets
                where
                    item_key in (
                        select item_key
                        from user_days
                        where
                            user_id = {{ user_id }}
                            and event_type != 'impression'
                            and item_key not in (
                                select item_key
                                from item_neighbours
                                where
                                    item_key in (select item_key from user_days where user_id = {{ user_id }})
                            )
                        group by item_key
                        order by max(last_seq) desc, item_key
                        limit 10
                    )
                group by item_key, other_item_key
                having sum(baskets) > 0
            )
        group by item_key
    ),
    returned as (
        {# What its buyers come back for counts more. #}
        select item_key as totals_key, pow((sum(orders) + 2) / (sum(buyers) + 2), 0.3) as again
        from item_totals
        where
            {{ leave_out }} = 'nothing'
            and item_key in (select item_key from user_days where user_id = {{ user_id }})
        group by totals_key
    ),
    found as (
        select
            tupleElement(one, 1) as found_key,
            sum(tupleElement(one, 2)) as own,
            sum(tupleElement(one, 3)) as wanted,
            maxIf(times, found_key = did_key) as own_times,
            argMax((did_key, times), (tupleElement(one, 3), did_key)) as because
        from habits
        left join companions on own_key = did_key
        left join returned on totals_key = did_key
        array join
            arrayConcat(
                [(did_key, habit * greatest(1, again), 0.)],
                arrayMap(other -> (tupleElement(other, 1), 0., tupleElement(other, 2) * interest), others)
            ) as one
        group by found_key
    ),
    tastes as (
        select category as liked_category, sum(events * {{ signal("event_type") }}) as liking
        from user_categories
        where user_id = {{ user_id }} and liked_category != ''
        group by liked_category
        having liking > 0
    ),
    shares as (select liked_category, liking / sum(liking) over () as share from tastes),
    parts as (
        select
            found_key,
            own_times,
            because,
            if({{ leave_out }} = 'nothing', own / sum(own) over (), 0) as own_part,
            {# A category that has all of a person's interest counts twice. #}
            0.3 * wanted / greatest(sum(wanted) over (), 1e-9) * (1 + shares.share) as wanted_part
        from found
        left join shares on shares.liked_category = {{ item("category", "found_key") }}
    ),
    weighed as (
        select
            found_key,
            own_part + wanted_part as fit,
            if(own_part >= wanted_part, 0, tupleElement(because, 1)) as because_key,
            if(own_part >= wanted_part, own_times, tupleElement(because, 2)) as because_times
        from parts
        where
            fit > 0
            and {{ may_show("found_key", exclude, category, min_price, max_price, brand) }}
            and {{ new_to("found_key", user_id, leave_out) }}
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
